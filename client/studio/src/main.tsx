import { render } from "solid-js/web";

import { App } from "./app";
import "./style/base.css";
import "./style/desk.css";
import "./style/prompt.css";
import "./style/picture.css";
import "./style/settings.css";
import "./style/image.css";
import "./style/adapters.css";
import "./style/history.css";
import "./style/screens.css";

const root = document.getElementById("studio");
if (root) {
  root.replaceChildren();
  render(() => <App />, root);
}
