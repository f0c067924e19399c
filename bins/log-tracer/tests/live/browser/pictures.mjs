// The pictures of the README beside those of the walk; a picture is a line.

export const PICTURES = ({ trace, span }) => [
  { name: "home", path: "/" },
  { name: "map", path: "/map" },
  { name: "trace", path: `/trace/${trace}` },
  { name: "trace-dark", path: `/trace/${trace}?span=${span}`, dark: true },
  { name: "logs", path: "/logs" },
];
