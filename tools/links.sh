#!/bin/bash
# Every relative link in the pages leads to a file and, where it names one, to a heading; every page of docs/ that
# another file names exists. Prints those that do not.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

# The anchors of a page, as GitHub makes them of its headings.
anchors() {
    sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed -E "s/[^a-z0-9 _-]//g; s/ /-/g"
}

bad=0
while IFS=: read -r page link; do
    link=${link#*(} link=${link%)}
    file=${link%%#*} anchor=
    [[ $link != *#* ]] || anchor=${link#*#}
    target=$page
    [ -z "$file" ] || target=$(dirname "$page")/$file
    if [ ! -e "$target" ] || { [ -n "$anchor" ] && ! anchors "$target" | grep -qxF "$anchor"; }; then
        echo "$page: $link" && bad=1
    fi
done < <(git ls-files '*.md' | xargs grep -HoE '\]\([^):]+\)' | sed 's/:\]/:/')

while IFS=: read -r file name; do
    [ -e "$name" ] || { echo "$file: $name" && bad=1; }
done < <(git ls-files | grep -vE '^(models|fuzz/seeds)/' | xargs grep -HoIE '\bdocs/[a-z0-9/-]+\.(md|json|svg|png)')
exit $bad
