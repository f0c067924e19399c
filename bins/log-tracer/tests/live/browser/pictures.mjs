// The pictures of the README beside those of the walk; a picture is a line.

export const PICTURES = ({ trace }) => [
  { name: "map", path: "/map" },
  { name: "trace", path: `/trace/${trace}` },
];
