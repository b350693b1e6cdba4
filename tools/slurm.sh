#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job of rpubench for Slurm: a sweep, whose runs the ranks share, or one training, whose minibatches they share.
#
# usage: sbatch [OPTION OF sbatch]... tools/slurm.sh sweep SWEEP.yaml [OPTION OF rpubench sweep]...
#        sbatch [OPTION OF sbatch]... tools/slurm.sh train [PRESET|FILE.yaml] [OPTION OF rpubench train]...
#
# Each task is a rank with --cpus-per-task cores, and as many threads. Ranks of a training pay only with large minibatches
# (--batch, several images for each rank); one rank with many cores comes first: --ntasks=1 --cpus-per-task=8. Two minutes
# before the time is over all ranks are told to stop: they end their minibatch, and what is finished stays. The same
# command again goes on with a sweep. The program is $RPUBENCH, else rpubench in the PATH, else build/rpubench in the
# folder of the submission.
#SBATCH --job-name=rpubench
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=rpubench-%j.out
set -euo pipefail

case ${1:-} in
sweep | train) ;;
*)
    sed -n '/^# usage/,/^#$/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
if [ -z "${SLURM_NTASKS:-}" ]; then
    echo "slurm.sh: SLURM_NTASKS is not set: start it with sbatch" >&2
    exit 2
fi
cores=${SLURM_CPUS_PER_TASK:-1}
program=${RPUBENCH:-$(command -v rpubench || echo "${SLURM_SUBMIT_DIR:-.}/build/rpubench")}

# Ranks that are told to stop get a minute for their minibatch before they are killed.
exec mpirun -n "$SLURM_NTASKS" --map-by "slot:PE=$cores" --bind-to core --mca odls_base_sigkill_timeout 60 \
    "$program" "$@" --threads "$cores"
