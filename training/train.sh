#!/bin/sh
# Trains facelatch's networks. Offline work: the product never needs it.
#
#   training/train.sh default              the shipped network, taught by two teachers; goes on from training/resume
#   training/train.sh default-no-teacher   the same network without the teacher
#   training/train.sh first                the small network by the contrastive loss alone
#   training/train.sh reference            the reference system's own network (R2-R5)
#   training/train.sh liveness [--folds]   the small liveness network; or its error rates by people
#   training/train.sh patterns [--folds]   the weights of the patterns; or their error rates, and with the network of liveness --folds
#   training/train.sh ship ...             int8 file, card and checksums into models/ (options of card.py)
#   training/train.sh test                 the trainer's own tests
#
# Needs the data folder (../shared beside the checkout, or FACELATCH_SHARED) and Python 3.11 or newer.
# Makes its own environment and keeps boxes, checkpoints and pictures in
# ${XDG_CACHE_HOME:-~/.cache}/facelatch; a run that was stopped goes on where it was.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/facelatch
runs=${FACELATCH_TRAIN_CACHE:-$cache/training}/runs
what=${1:-default}
[ $# -gt 0 ] && shift

python=$("$here/../tools/python.sh" venv "$here/requirements.txt")
if [ "$what" != test ] && [ -z "${FACELATCH_BIN:-}" ]; then
    (cd "$here/.." && tools/needs.sh && cargo build --release)
fi

# Idle threads must not spin: the machine may have other work.
export OMP_WAIT_POLICY=PASSIVE PYTHONUNBUFFERED=1
cd "$here"
case $what in
default) "$python" train_default.py "$runs/default" "$@" ;;
default-no-teacher) "$python" train_default.py "$runs/no-teacher" --no-teacher --steps 700 "$@" ;;
first) "$python" train_first.py "$runs/first" "$@" ;;
reference) "$python" train_reference.py "$runs/reference" "$@" ;;
liveness) "$python" train_liveness.py "$runs/liveness" "$@" ;;
patterns) "$python" train_patterns.py "$runs/liveness" "$@" ;;
ship) "$python" card.py "$runs/default/cooled" "$@" ;;
test) "$python" -m tests ;;
*) echo "train.sh: unknown network '$what'; read the head of $0" >&2; exit 2 ;;
esac
[ "$what" = test ] || echo "written to $runs"
