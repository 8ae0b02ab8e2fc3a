# Carries the working directory, exported variables and exported functions from one command to the next.
#
# Arguments: $1 the command, or "" where it lies in the file `command` (too long for an argument); $2 the state directory;
# $3 for a job: its directory, where `attached` is until the call has ended. What ends later leaves the state alone.
# Builtins only: nothing here forks. The lines are joined into one before use, so that bash counts the lines of the
# command itself in its messages: each line ends where a blank may stand, and none but these first ones is a comment.
# `base` holds the names of the variables that were there at first: only so is an `unset` of one of them carried too.
# The state is written in turn to two files and `current` names the newer one: being killed half-way loses nothing.
__workroom_command=$1; __workroom_state=$2; __workroom_job=${3-}; __workroom_saved=; shift $#;
[[ -n $__workroom_command ]] || IFS= read -r -d '' __workroom_command < "$__workroom_state/command";
IFS= read -r __workroom_current 2>/dev/null < "$__workroom_state/current" || __workroom_current=;
__workroom_cd() {
  local old=${OLDPWD-};
  builtin cd -- "$1" 2>/dev/null ||
  { builtin cd /testbed 2>/dev/null || builtin cd /; builtin echo "note: the working directory $1 is gone; this is $PWD" >&2; };
  OLDPWD=$old;
};
__workroom_save() {
  local status=$? next=a name;
  set +xeufvC; set +o posix;
  [[ -z $__workroom_saved ]] || return $status;
  __workroom_saved=1;
  [[ -z $__workroom_job || -e $__workroom_job/attached ]] || return $status;
  [[ $__workroom_current != a ]] || next=b;
  { builtin export -p; builtin export -pf;
    for name in "${__workroom_base[@]}"; do [[ -v $name ]] || builtin echo "unset -v $name"; done;
    builtin printf '__workroom_cd %q\n' "$PWD"; builtin declare -p __workroom_base; } 2>/dev/null >| "$__workroom_state/state.$next" &&
  builtin echo "$next" >| "$__workroom_state/current";
  return $status;
};
if [[ -n $__workroom_current ]]; then . "$__workroom_state/state.$__workroom_current"; 
else __workroom_cd /testbed; compgen -e >| "$__workroom_state/base"; mapfile -t __workroom_base < "$__workroom_state/base"; fi;
trap '{ __workroom_save; } 2>/dev/null' EXIT;
eval "$__workroom_command"; { __workroom_save; } 2>/dev/null
