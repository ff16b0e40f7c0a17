(function () {
  "use strict";
  var root = document.documentElement, theme = document.getElementById("theme");
  document.querySelectorAll(".control").forEach(function (part) { part.hidden = false; });
  theme.hidden = false;
  theme.addEventListener("click", function () {
    var dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
  });
  var slider = document.getElementById("shift"), told = document.getElementById("shifts");
  if (slider && told) {
    var words = JSON.parse(told.textContent), output = document.getElementById("shift-words");
    var cursor = document.querySelector(".cursor"), places = cursor.dataset.places.split(" ");
    slider.addEventListener("input", function () {
      var at = places[slider.value].split(","), bar = cursor.querySelector("line"), point = cursor.querySelector("circle");
      output.textContent = words[slider.value];
      slider.setAttribute("aria-valuetext", words[slider.value]);
      bar.setAttribute("x1", at[0]); bar.setAttribute("x2", at[0]);
      point.setAttribute("cx", at[0]); point.setAttribute("cy", at[1]);
    });
  }
  var group = document.getElementById("slopes");
  if (group) {
    group.addEventListener("click", function (event) {
      if (!event.target.dataset.words) { return; }
      group.querySelectorAll("button").forEach(function (one) { one.setAttribute("aria-pressed", String(one === event.target)); });
      group.querySelector("output").textContent = event.target.dataset.words;
    });
  }
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (part) { part.open = true; });
  });
})();
