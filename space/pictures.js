// A picture that cannot be had makes way for the tile behind it.
addEventListener("error", (event) => {
  if (event.target instanceof HTMLImageElement && event.target.className === "hb-photo") event.target.remove();
}, true);
