#!/bin/sh
# Stands in for pip and npm: the last two arguments are the folder and the package.
# Beside the link that it is called by lie `archive`, which it delivers, and `calls`, which it writes.
here=$(dirname "$0")
echo "$@" >> "$here/calls"
for argument; do
  folder=$last
  last=$argument
done
if [ -f "$here/archive" ]; then
  cp "$here/archive" "$folder/package"
else
  printf 'looking\n\033[31merror: no such package\n' >&2
  exit 1
fi
