# Packs what lies below /mnt into standard input, which is the target file: all of it ($1 is "whole"), or what has
# changed since the last time. Run by the recorder's own sandbox, see bwrap_recorder.py.
#
# The list has a line for each file: kind, inode, times, size, mode, owner, path. A line that is on the new list alone
# is of a changed file; of one whose kind, inode and path are on the old list alone, the path is to be removed first. A
# directory is the same whatever its inode: what is below it may not have changed.
# 1 of tar and find means that something changed while it was read; all else is a failure, and never reported as 1.
set -e
export LC_ALL=C TMPDIR=/run
ulimit -f 4194304
cd /mnt
failed() { [ "$1" -eq 1 ] || exit 3; }
find . -mindepth 1 -printf '%y %i %T@ %C@ %s %m %U:%G %p\0' > /run/found || failed $?
sort -z /run/found -o /run/new
rm /run/found
mode=$1
set -- --xattrs '--xattrs-include=user.*' --numeric-owner --sparse --format=posix --warning=no-file-changed \
  --ignore-failed-read -cf -
if [ "$mode" = whole ]; then
  tar "$@" . 1>&0 || failed $?
else
  [ -e /run/old ] || exit 3
  comm -z -13 /run/old /run/new | sed -zE 's/^([^ ]+ ){7}//' > /run/changed
  for list in old new; do
    sed -zE 's/^d ([^ ]+ ){6}/d - /; t; s/^([^ ]+ [^ ]+ )([^ ]+ ){5}/\1/' /run/$list | sort -z > /run/$list.names
  done
  comm -z -23 /run/old.names /run/new.names | sed -zE 's/^[^ ]+ [^ ]+ //' > /run/removed
  tar "$@" -C /run removed -C /mnt --null --verbatim-files-from --no-recursion --files-from=/run/changed 1>&0 || failed $?
fi
mv /run/new /run/old
