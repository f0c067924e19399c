// The pictures of the README beside those of the walk; a picture is a line.

export const PICTURES = ({ trace, other }) => [
  { name: "map", path: "/map" },
  { name: "trace", path: `/trace/${trace}` },
  { name: "flame", path: `/trace/${trace}?tab=flame#waterfall`, height: 900 },
  { name: "compare", path: `/compare?a=${trace}&b=${other}`, height: 900 },
];
