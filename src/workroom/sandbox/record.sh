# Packs what lies below /mnt into standard input, which is the target file: all of it ($1 is "whole"), or what has
# changed since the last time. Run by the recorder's own sandbox, see bwrap_recorder.py.
#
# The list has a line for each file: kind, inode, times, size, mode, owner, path. A line that is on the new list alone
# is of a changed file; of one whose kind, inode and path are on the old list alone, the path is to be removed first.
set -e
export LC_ALL=C
cd /mnt
find . -mindepth 1 -printf '%y %i %T@ %C@ %s %m %U:%G %p\0' | sort -z > /run/new
set -- "$1" --xattrs '--xattrs-include=user.*' --numeric-owner --sparse --format=posix --warning=no-file-changed -cf -
if [ "$1" = whole ]; then
  shift
  tar "$@" . 1>&0 || [ $? -eq 1 ]
else
  shift
  comm -z -13 /run/old /run/new | sed -zE 's/^([^ ]+ ){7}//' > /run/changed
  for list in old new; do
    sed -zE 's/^([^ ]+ [^ ]+ )([^ ]+ ){5}/\1/' /run/$list | sort -z > /run/$list.names
  done
  comm -z -23 /run/old.names /run/new.names | sed -zE 's/^[^ ]+ [^ ]+ //' > /run/removed
  tar "$@" -C /run removed -C /mnt --null --verbatim-files-from --no-recursion --files-from=/run/changed 1>&0 || [ $? -eq 1 ]
fi
mv /run/new /run/old
