/** What stands in place of the studio until the server answers. */
import { Show, createSignal, createUniqueId } from "solid-js";

import { phase, problem, signIn } from "../state/connection";
import { t } from "../text";

export function Connect() {
  return (
    <main class="connect">
      <Show when={phase() === "needs-token"} fallback={<Waiting />}>
        <TokenForm />
      </Show>
    </main>
  );
}

function Waiting() {
  return (
    <div role="status">
      <p class="large">{t(phase() === "lost" ? "connect.lost" : "connect.wait")}</p>
      <Show when={phase() === "lost"}>
        <p class="faint" dir="auto">
          {problem()}
        </p>
      </Show>
    </div>
  );
}

function TokenForm() {
  const id = createUniqueId();
  const [token, setToken] = createSignal("");
  return (
    <form
      class="panel"
      onSubmit={(event) => {
        event.preventDefault();
        void signIn(token());
      }}
    >
      <h1>{t("connect.token")}</h1>
      <p class="faint">{t("connect.token.help")}</p>
      <div class="field">
        <label for={id}>{t("connect.token.label")}</label>
        <input
          id={id}
          type="password"
          autocomplete="current-password"
          required
          value={token()}
          onInput={(event) => setToken(event.currentTarget.value)}
        />
      </div>
      <Show when={problem()}>
        <p class="problem" role="alert" dir="auto">
          {problem()}
        </p>
      </Show>
      <button class="primary" type="submit">
        {t("connect.token.open")}
      </button>
    </form>
  );
}
