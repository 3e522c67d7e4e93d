#!/bin/sh
# SPDX-License-Identifier: MIT
# From an empty home to the demo's verdict, with the time of each stage and the disk it takes at the end.
set -eu
cd "$(dirname "$0")/.."
R4L_HOME=$(mktemp -d /tmp/r4l-first.XXXXXX)
export R4L_HOME
trap 'rm -rf "$R4L_HOME"' EXIT
begin=$(date +%s)
./r4l demo --out "$R4L_HOME/out"
end=$(date +%s)
echo "empty home to verdict: $((end - begin)) s"
echo "disk: $(du -sm "$R4L_HOME" | cut -f1) MiB"
