import solid from "eslint-plugin-solid/configs/typescript";
import typescript from "typescript-eslint";

export default typescript.config(
  { ignores: ["dist/", "node_modules/", "src/sakuga/", "test/", "*.js", "*.mjs"] },
  ...typescript.configs.strictTypeChecked,
  { files: ["src/**/*.{ts,tsx}"], ...solid },
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      eqeqeq: "error",
      // It takes callbacks of plain functions for reactive ones.
      "solid/reactivity": "off",
      "no-console": "error",
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true, allowBoolean: true }],
    },
  },
);
