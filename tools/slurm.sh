#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A job of rpubench for Slurm: a sweep, whose runs the ranks share, or one training.
#
# usage: sbatch [OPTION OF sbatch]... tools/slurm.sh sweep SWEEP.yaml [OPTION OF rpubench sweep]...
#        sbatch [OPTION OF sbatch]... tools/slurm.sh train [PRESET|FILE.yaml] [OPTION OF rpubench train]...
#
# Each task is a rank with --cpus-per-task cores, and as many threads in each training. A training is one process: it
# takes the first task, so ask for --ntasks=1. Two minutes before the time is over all ranks are told to stop: they end
# their minibatch, and what is finished stays. The same command again goes on with a sweep. The program is $RPUBENCH,
# else rpubench in the PATH, else build/rpubench in the folder of the submission.
#SBATCH --job-name=rpubench
#SBATCH --ntasks=8
#SBATCH --cpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
#SBATCH --output=rpubench-%j.out
set -euo pipefail

case ${1:-} in
sweep) ranks=${SLURM_NTASKS:-} ;;
train) ranks=1 ;;
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
exec mpirun -n "$ranks" --map-by "slot:PE=$cores" --bind-to core --mca odls_base_sigkill_timeout 60 \
    "$program" "$@" --threads "$cores"
