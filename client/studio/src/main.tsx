import { render } from "solid-js/web";

import { App } from "./app";
import "./style/base.css";
import "./style/desk.css";
import "./style/history.css";

const root = document.getElementById("studio");
if (root) {
  render(() => <App />, root);
}
