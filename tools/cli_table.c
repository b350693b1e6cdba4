/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

const char cli_summary[] = "train convolutional networks on simulated analog crossbar arrays";

const char cli_description[] =
    "rpubench trains convolutional neural networks whose weights sit in simulated analog crossbar arrays (resistive "
    "processing units, RPUs), and measures the throughput of each training cycle: forward, backward, update.\n"
    "\n"
    "One configuration and one seed give the same weights, to the last bit, on every kernel variant and with any "
    "number of threads and of MPI ranks.";

const struct cli_option cli_common[] = {
    {"help", 'h', NULL, CLI_ASSIGN_NONE, NULL, "Print help and exit."},
    {"version", 'V', NULL, CLI_ASSIGN_NONE, NULL, "Print the version and exit."},
    {0},
};

static const struct cli_option train_options[] = {
    {"data", 'd', "DIR|digits", CLI_ASSIGN_STRING, "data.source",
     "Train on the four IDX files (plain or gzip) in DIR, or on generated digits."},
    {"epochs", 'e', "N", CLI_ASSIGN_PLAIN, "training.epochs", "Train for N epochs."},
    {"batch", 'b', "B", CLI_ASSIGN_PLAIN, "training.batch",
     "Minibatches of B images: all see the weights of its start; then each updates in turn, with the full learning "
     "rate. Memory grows with B: each image of a minibatch has activations of its own."},
    {"seed", 's', "S", CLI_ASSIGN_PLAIN, "training.seed",
     "Seed of every random number: devices, initial weights, noise, pulses, order of the images, generated digits."},
    {"threads", 't', "T", CLI_ASSIGN_PLAIN, "run.threads",
     "Use T threads; 0 stands for what OMP_NUM_THREADS says, else one for each core that the process may use. Results "
     "do "
     "not depend on it."},
    {"bind", 0, "HOW", CLI_ASSIGN_PLAIN, "run.bind",
     "Give each thread a processor: compact (core by core), spread (cores of all NUMA nodes in turn), none, or auto: "
     "spread on several NUMA nodes that the process has for itself (ranks of a job on one machine do not), else none. "
     "SMT siblings come last."},
    {"share", 0, "HOW", CLI_ASSIGN_PLAIN, "run.share",
     "Whether threads share a minibatch's work: always, or auto: unless one of them is faster alone, which is tried "
     "from time to time with minibatches of less than 10 ms. Ranks that train together always share. Results do not "
     "depend on it."},
    {"isa", 'i', "NAME", CLI_ASSIGN_STRING, "run.isa",
     "Use no kernel variant above NAME (see info); overrides RPU_ISA. Results do not depend on it."},
    {"limit-train", 0, "N", CLI_ASSIGN_PLAIN, "data.limit_train",
     "Train on the first N images only; 0 stands for all. Of digits N are drawn; there 0 stands for 60,000."},
    {"limit-test", 0, "N", CLI_ASSIGN_PLAIN, "data.limit_test",
     "Test on the first N images only; 0 stands for all. Of digits N are drawn; there 0 stands for 10,000."},
    {"set", 0, "KEY=VALUE", CLI_ASSIGN_WHOLE, NULL,
     "Set a configuration key, such as training.eta=0.02 or arrays.K2.update.bl=5; VALUE is parsed as YAML. May be "
     "repeated; comes after the preset or file, in the order of the command line."},
    {"out", 'o', "DIR", CLI_ASSIGN_NONE, NULL,
     "Write DIR/result.json and DIR/config.yaml (the effective configuration), which replace older ones; DIR is "
     "created, with those above it, if it is not there. Where DIR/checkpoint.safetensors is, from which a training can "
     "go on, --resume is needed."},
    {"checkpoint-every", 'c', "NUNIT", CLI_ASSIGN_NONE, NULL,
     "Keep DIR/checkpoint.safetensors, from which the training can go on: written anew after every N images, epochs or "
     "minutes, as in 500images, 1epoch or 10minutes, and at the end. Needs --out."},
    {"resume", 'R', NULL, CLI_ASSIGN_NONE, NULL,
     "Go on from DIR/checkpoint.safetensors, or begin where there is none; a checkpoint is written at the end. Weights "
     "and history become those of a training that was never interrupted. The configuration has to be the same but for "
     "epochs, threads, sharing, places, kernel variant and paths, and so have the images. Needs --out."},
    {"json", 'j', "FILE|-", CLI_ASSIGN_NONE, NULL,
     "Write the results as JSON to FILE, or to standard output (-), which then carries nothing else."},
    {"trace", 0, "FILE", CLI_ASSIGN_NONE, NULL,
     "Write which thread did what when to FILE, in the trace-event format of Chrome (chrome://tracing, Perfetto): the "
     "first 100,000 pieces of work."},
    {"quiet", 'q', NULL, CLI_ASSIGN_NONE, NULL, "Print nothing but errors (and JSON, where asked for)."},
    {0},
};

static const struct cli_option eval_options[] = {
    {"data", 'd', "DIR|digits", CLI_ASSIGN_NONE, NULL,
     "Test on the test images in DIR, or on generated digits; default: those of the training."},
    {"limit-test", 0, "N", CLI_ASSIGN_NONE, NULL,
     "Test on the first N images only; 0 stands for all; default: as in the training."},
    {"read", 'r', "analog|perfect", CLI_ASSIGN_NONE, NULL,
     "Read the arrays with their converters, noise and management, as in training (analog, the default), or take exact "
     "products of the weights they hold (perfect; not where a convolution has copies, whose weights differ)."},
    {"threads", 't', "T", CLI_ASSIGN_NONE, NULL, "Use T threads, as for train."},
    {"bind", 0, "HOW", CLI_ASSIGN_NONE, NULL, "Give each thread a processor, as for train."},
    {"isa", 'i', "NAME", CLI_ASSIGN_NONE, NULL,
     "Use no kernel variant above NAME (see info); overrides RPU_ISA. Results do not depend on it."},
    {"json", 'j', "FILE|-", CLI_ASSIGN_NONE, NULL,
     "Write the outcome as JSON to FILE, or to standard output (-), which then carries nothing else."},
    {"quiet", 'q', NULL, CLI_ASSIGN_NONE, NULL, "Print nothing but errors (and JSON, where asked for)."},
    {0},
};

static const struct cli_option inspect_options[] = {
    {"array", 'a', "NAME", CLI_ASSIGN_NONE, NULL, "Show this array only, with its histograms at length."},
    {"json", 'j', "FILE|-", CLI_ASSIGN_NONE, NULL,
     "Write the same as JSON to FILE, or to standard output (-), which then carries nothing else."},
    {"quiet", 'q', NULL, CLI_ASSIGN_NONE, NULL, "Print nothing but errors (and JSON, where asked for)."},
    {0},
};

static const struct cli_option sweep_options[] = {
    {"out", 'o', "DIR", CLI_ASSIGN_NONE, NULL,
     "Write to DIR: a folder for each run, and the table as sweep.json and sweep.csv. DIR is created, with those "
     "above it, if it is not there. Default: the sweep file's name with -runs in the place of .yaml, in the current "
     "folder."},
    {"jobs", 'J', "J", CLI_ASSIGN_NONE, NULL,
     "Train J runs at a time. Default: as many as the cores that the process may use allow, where each gets as many as "
     "the run with the most threads takes. A run is bound to its cores, from the first on: of two sweeps on one "
     "machine each has to be given cores of its own (taskset)."},
    {"checkpoint-every", 'c', "NUNIT", CLI_ASSIGN_NONE, NULL,
     "Keep a checkpoint of each run at work, as for train, so that one that is killed goes on from it; an interrupt "
     "leaves one in any case."},
    {"threads", 't', "T", CLI_ASSIGN_PLAIN, "run.threads",
     "Use T threads, and as many cores, for each run; default: what the file says, else 1."},
    {"data", 'd', "DIR|digits", CLI_ASSIGN_STRING, "data.source", "Images of all runs, as for train."},
    {"epochs", 'e', "N", CLI_ASSIGN_PLAIN, "training.epochs", "Train each run for N epochs."},
    {"batch", 'b', "B", CLI_ASSIGN_PLAIN, "training.batch", "Minibatches of B images in all runs, as for train."},
    {"seed", 's', "S", CLI_ASSIGN_PLAIN, "training.seed", "Seed of all runs, where the file varies none."},
    {"isa", 'i', "NAME", CLI_ASSIGN_STRING, "run.isa",
     "Use no kernel variant above NAME (see info) in any run; overrides RPU_ISA."},
    {"limit-train", 0, "N", CLI_ASSIGN_PLAIN, "data.limit_train",
     "Train each run on the first N images only, as for train."},
    {"limit-test", 0, "N", CLI_ASSIGN_PLAIN, "data.limit_test",
     "Test each run on the first N images only, as for train."},
    {"set", 0, "KEY=VALUE", CLI_ASSIGN_WHOLE, NULL,
     "Set a configuration key for all runs; may be repeated. No option may set a key that the file varies."},
    {"quiet", 'q', NULL, CLI_ASSIGN_NONE, NULL, "Print nothing but errors."},
    {0},
};

static const struct cli_option bench_options[] = {
    {"filter", 'f', "REGEX", CLI_ASSIGN_NONE, NULL,
     "Measure only what has a name that matches this regular expression, such as ^cycle/update or /4096x4096/."},
    {"isa", 'i', "LIST|all", CLI_ASSIGN_NONE, NULL,
     "Measure these kernel variants, separated by commas (see info); default: all that this machine can run. What "
     "takes "
     "one variant only takes the best of them. Overrides RPU_ISA."},
    {"threads", 't', "LIST", CLI_ASSIGN_NONE, NULL,
     "Measure with these numbers of threads, separated by commas; default: 1 and as many as the process may use, for "
     "the machine's limits and for scaling those in between as well."},
    {"quick", 'Q', NULL, CLI_ASSIGN_NONE, NULL,
     "Measure a choice of every group, three times and briefly: under 50 s on two cores."},
    {"official", 0, NULL, CLI_ASSIGN_NONE, NULL,
     "Run the fixed workload for comparing machines instead: images per second of lenet-rpu, the time to 2 % test "
     "error, and whether the weights are the right ones."},
    {"repetitions", 'r', "N", CLI_ASSIGN_NONE, NULL,
     "Measure everything N times; default: 5, with --quick 3. Comparisons of documents rest on them."},
    {"interleave", 0, NULL, CLI_ASSIGN_NONE, NULL,
     "Take the repetitions of all benchmarks in a random order, not those of one after the other, so that what goes on "
     "on the machine for a while meets all of them."},
    {"min-time", 0, "SECONDS", CLI_ASSIGN_NONE, NULL,
     "Measure for at least so long each time; default: 0.05, with --quick 0.005."},
    {"data", 'd', "DIR|digits", CLI_ASSIGN_NONE, NULL,
     "Images of training steps, as for train; default: digits. --official always draws its own."},
    {"json", 'j', "FILE|-", CLI_ASSIGN_NONE, NULL,
     "Write the document to FILE, or to standard output (-), which then carries nothing else."},
    {"quiet", 'q', NULL, CLI_ASSIGN_NONE, NULL, "Print nothing but errors (and JSON, where asked for)."},
    {0},
};

static const struct cli_option compare_options[] = {
    {"threshold", 'T', "PCT", CLI_ASSIGN_NONE, NULL,
     "Changes of up to PCT per cent count as none; default: 5. Slower means that the new time is more than 1 + PCT/100 "
     "times the old one, faster the reverse."},
    {"alpha", 'a', "P", CLI_ASSIGN_NONE, NULL,
     "Level of the test: a change is significant when p is below P; default: 0.01, for which five repetitions on each "
     "side are the least. Intervals are those of the level 1 - P."},
    {"time", 0, "wall|cpu", CLI_ASSIGN_NONE, NULL,
     "Compare wall time, the default, or processor time, which is steadier on a busy machine but is that of one "
     "thread."},
    {"rename", 'r', "OLD=NEW", CLI_ASSIGN_NONE, NULL,
     "Take the component OLD in names of OLD.json for NEW; what has NEW there, or OLD in NEW.json, is left out. "
     "autovec=avx2 compares kernel variants, aihwkit=avx2 with a peer. May be repeated."},
    {"json", 'j', "FILE|-", CLI_ASSIGN_NONE, NULL,
     "Write the comparison as JSON to FILE, or to standard output (-), which then carries nothing else."},
    {"quiet", 'q', NULL, CLI_ASSIGN_NONE, NULL, "Of the benchmarks list only those with a significant change."},
    {0},
};

static const struct cli_option map_options[] = {
    {"net", 'n', "NETWORK", CLI_ASSIGN_NONE, NULL,
     "Map this network: lenet, the default; alexnet; any other preset, or a YAML file, the same that train takes."},
    {"input", 0, "HxWxC", CLI_ASSIGN_NONE, NULL,
     "Height, width and channels of the images. Default: what the network says (network.height, width, channels), else "
     "28x28x1 where its data are digits."},
    {"set", 0, "KEY=VALUE", CLI_ASSIGN_WHOLE, NULL,
     "Set a configuration key, as for train, such as network.layers.0.bias=false. May be repeated."},
    {"array", 'a', "RxC[=NS],...", CLI_ASSIGN_NONE, NULL,
     "Tiles of R outputs and C inputs at most, on which a vector takes NS nanoseconds in a cycle; several kinds are "
     "separated by commas, as in the bimodal 4096x4096=80,512x512=10. An array goes to the fastest kind that holds it "
     "whole; where none does it is divided among tiles of the largest. Default: tiles of each array's max_rows x "
     "max_cols (4096x4096)."},
    {"place", 'p', "NAME=RxC,...", CLI_ASSIGN_NONE, NULL,
     "Put arrays on kinds of tiles other than those that they would go to; default=RxC, given first, stands for all."},
    {"t-meas", 0, "NS", CLI_ASSIGN_NONE, NULL,
     "Time of a vector in a cycle on tiles for which --array has none, in nanoseconds; default: 80. About 80 for "
     "4096x4096 and 10 for 512x512 tiles are reported."},
    {"t-slot", 0, "NS", CLI_ASSIGN_NONE, NULL,
     "Time of a slot of the pulse trains: an update takes BL slots (update.bl of the array) a vector. Default: it "
     "takes "
     "as long as a read."},
    {"replicas", 'r', "NAME=N,...", CLI_ASSIGN_NONE, NULL,
     "Copies of arrays, as in K1=4,K2=2; they share the vectors of an image, each on tiles of its own."},
    {"rereads", 0, "RESULT.json", CLI_ASSIGN_NONE, NULL,
     "Take the rereads by bound management from the results of a training of this network (train --json, or "
     "DIR/result.json): their mean over all epochs, for each array and cycle. Each takes the time of a read. Where the "
     "training divided an array otherwise, a line says so. Without it there are none."},
    {"for", 0, "training|inference", CLI_ASSIGN_NONE, NULL,
     "Look for copies that balance the pipeline of all three cycles, the default, or of the forward cycle alone."},
    {"json", 'j', "FILE|-", CLI_ASSIGN_NONE, NULL,
     "Write the mapping as JSON to FILE, or to standard output (-), which then carries nothing else."},
    {0},
};

static const struct cli_option presets_options[] = {{0}};

static const struct cli_option info_options[] = {
    {"json", 'j', NULL, CLI_ASSIGN_NONE, NULL, "Print the same as JSON."},
    {"isa", 'i', "NAME", CLI_ASSIGN_NONE, NULL, "Show what would be chosen with --isa NAME; overrides RPU_ISA."},
    {"threads", 't', "T", CLI_ASSIGN_NONE, NULL, "Show what would be chosen with --threads T."},
    {"bind", 0, "HOW", CLI_ASSIGN_NONE, NULL, "Show where threads would go with --bind HOW."},
    {0},
};

static const struct cli_option help_options[] = {{0}};

const struct cli_command cli_commands[] = {
    {CLI_TRAIN, "train", "[PRESET|FILE.yaml]", 1, "train a network and report error and throughput",
     "Trains the network of a preset or of a YAML file (default: the preset lenet-rpu) and tests it after each epoch. "
     "A "
     "name that is a preset means the preset; anything else is the path of a file. Options and --set are merged over "
     "it.\n"
     "\n"
     "On a terminal a line shows progress, rate and time left; elsewhere there is a line for each epoch. At the end "
     "come "
     "the test error and, for each array and each cycle, the time for an image and the crosspoints handled in a "
     "second. "
     "The first array's backward cycle has no use in training and is not run.\n"
     "\n"
     "An interrupt (SIGINT or SIGTERM) stops the training after the minibatch in work; what "
     "was finished is still reported and written, marked as interrupted, and with --out a checkpoint as well, for "
     "--resume. A second one, a quarter of a second later or more, ends the program at once; an older checkpoint then "
     "stays whole, as it does when the program is killed or the disk is "
     "full: a new one takes its place only when it is complete.\n"
     "\n"
     "A training diverges when a loss or a weight is no finite number or, in floating point, when an epoch ends with "
     "mean losses of more than ten times that of guessing in both training and test. It stops there, and results say "
     "so.\n"
     "\n"
     "Under mpirun, where the program was built with MPI, the ranks share the images of each minibatch: each does the "
     "forward and backward cycles of its own, and all the updates of all images, with activations and errors "
     "exchanged. "
     "Results are those of one process. Give --batch several images for each rank; for many trainings, sweep is the "
     "better use of ranks. Rank 0 alone prints and writes, --trace included. The cores of a rank are the launcher's "
     "matter.",
     train_options},
    {CLI_EVAL, "eval", "CHECKPOINT", 1, "test the network of a checkpoint",
     "Builds the network that a checkpoint (train --checkpoint-every) holds and tests it: error, mean loss, and the "
     "confusion matrix, which has a row for each class and in it the images of that class by what they were taken "
     "for. The network may have 1024 outputs at most.\n"
     "\n"
     "Analog reads draw the random numbers of the test that follows the checkpoint's last epoch in training: on the "
     "same images they come to the same error and loss, to the last bit.",
     eval_options},
    {CLI_INSPECT, "inspect", "CHECKPOINT", 1, "show what the arrays of a checkpoint hold",
     "Shows, for each array of a checkpoint, least, mean, standard deviation, most and a histogram of the weights and "
     "of each device parameter: size of up and down steps, upper bound, distance of the lower bound. Weights at a "
     "bound "
     "are counted as saturated.",
     inspect_options},
    {CLI_SWEEP, "sweep", "SWEEP.yaml", 1, "run many trainings that differ in some keys, side by side",
     "Trains one network for each combination of values in a sweep file, as many at a time as the cores allow, each on "
     "cores of its own, and prints a table.\n"
     "\n"
     "SWEEP.yaml names what all runs share and what varies, of which there must be one at least:\n"
     "\n"
     "base: a preset, or a configuration file, relative to the sweep file; without it, lenet-rpu.\n"
     "\n"
     "network, arrays, training, data, run: keys of a configuration, the same in all runs.\n"
     "\n"
     "grid: a map of dotted keys, each with a list of values; every combination is run.\n"
     "\n"
     "list: the same, with the values side by side: the first of each key, the second of each, and so on.\n"
     "\n"
     "cases: a map of names, each with a map of dotted keys and values; every combination is run with each case, and "
     "the name stands for it.\n"
     "\n"
     "seeds: a list of seeds; every combination is run with each.\n"
     "\n"
     "At most 10,000 runs are allowed. The whole file, and the configuration of every run, is checked before anything "
     "runs.\n"
     "\n"
     "DIR/RUN/ holds a run, RUN being its values, such as bl=5,seed=2: result.json and config.yaml as train --out "
     "writes them, and stderr.log if the run said something there. A run that fails is reported and does not stop the "
     "others.\n"
     "\n"
     "A sweep that is started again goes on where it stopped: a run with a result of exactly the same configuration is "
     "kept, one that has a checkpoint of that goes on from it, any other is run. A checkpoint that does not fit, being "
     "damaged or of another configuration, is set aside as checkpoint.safetensors.old. An interrupt (SIGINT or "
     "SIGTERM) "
     "is passed on to the trainings, which stop after the minibatch in work; "
     "what is finished stays. A second one, a quarter of a second later or more, ends the program at once. Where "
     "standard output is no terminal, a line says "
     "of each run that it has ended.\n"
     "\n"
     "Under mpirun, where the program was built with MPI, the ranks share the runs: each trains one at a time, and "
     "rank "
     "0 hands out the next to whoever is idle, trains as well, and writes the table. The cores of a rank are the "
     "launcher's matter; --jobs has no place there.",
     sweep_options},
    {CLI_BENCH, "bench", "", 0, "measure kernels, cycles and training steps against the machine's limits",
     "Measures what this machine can do at most (machine), every variant of every kernel (kernel), whole cycles of "
     "arrays with their periphery (cycle), bare products of OpenBLAS (baseline), training steps of each preset (step), "
     "their scaling with threads (scaling), and the project's goals (goal). Each result is compared with the oracle's "
     "before it is timed; one that differs makes the exit code 1.\n"
     "\n"
     "The tables show variant against variant, how many times faster the best one is than the compiler's vectors and "
     "than OpenBLAS, and how much of the roof it reaches: of the arithmetic peak, or of the bandwidth of memory at "
     "that "
     "size, whichever is less for this amount of arithmetic.\n"
     "\n"
     "The document of --json is Google Benchmark's, with a description of the build and the machine; results/README.md "
     "lists names, counters and keys. Leave the machine alone meanwhile; without --quick it takes half "
     "an hour to three quarters.\n"
     "\n"
     "The work is done by a separate program, rpubench-bench, which is built where Google Benchmark and OpenBLAS are "
     "installed.",
     bench_options},
    {CLI_COMPARE, "compare", "OLD.json NEW.json", 2, "compare two runs of the benchmarks",
     "Compares two JSON documents of benchmarks (bench --json, rpubench-bench --benchmark_out, or any other program on "
     "Google Benchmark), benchmark by benchmark, by name.\n"
     "\n"
     "new/old is the median of the ratios of all pairs of repetitions, one of each file: below 1 the new run is the "
     "faster one. p comes from the Mann-Whitney U test, which assumes nothing of how times are distributed: it is the "
     "probability of so uneven an order of the repetitions when nothing has changed. The interval of the ratio comes "
     "from the same distribution. A benchmark is slower or faster when p is below the level and the whole interval "
     "lies "
     "beyond the threshold; unclear when only the ratio does; else it is the same. With too few repetitions nothing is "
     "significant: measure with --benchmark_repetitions=9 or more, and on a busy machine in several short runs of "
     "either "
     "side in turn.\n"
     "\n"
     "The geometric mean of the ratios is given for each group, which is the first component of a name. Benchmarks "
     "that only one file has are listed, and what differs in the contexts: machine, kernels, build (version, compiler, "
     "flags) and run.\n"
     "\n"
     "The exit code is 1 when a benchmark is significantly slower, 0 when none is, and 2 when a document cannot be "
     "read or written or nothing is in common.",
     compare_options},
    {CLI_MAP, "map", "", 0, "tiles that a network takes, and the time of its cycles on hardware",
     "Maps a network onto crossbar tiles and states, from shapes alone: for each array its size M x N, the weight "
     "sharing factor ws (vectors an image), multiplications, the tiles that it takes and how much of them it uses, and "
     "the time of an image in each cycle; for the network the slowest array, which sets the pace of a pipeline, and "
     "the "
     "images in a second.\n"
     "\n"
     "A tile takes the time t_meas for a vector in each cycle, whatever the size of the array on it, and one vector "
     "after the other: ws x t_meas an image. A reread by bound management takes it again. An array larger than a tile "
     "is divided among a grid of them, as in training, which work at the same time. Copies of an array share its "
     "vectors. Digital sums, pooling, activations and the transport of vectors count nothing, and an array has its "
     "tiles for itself. In a pipeline each array works on another image; strictly, SGD with one image at a time allows "
     "none, and takes the time of all cycles one after the other, which is stated as well.\n"
     "\n"
     "The last table lists replications that balance the pipeline: in each line an array keeps a single copy and every "
     "other one has the fewest with which it keeps up. They are the cheapest for that pace. The last line is the end "
     "of balance: all arrays are as fast as the fastest convolution, or as far as a copy for each vector goes.",
     map_options},
    {CLI_PRESETS, "presets", "[NAME]", 1, "list the embedded presets, or print one as YAML",
     "Without NAME lists the embedded presets; with NAME prints that preset as a YAML file, which can be edited and "
     "given to train.",
     presets_options},
    {CLI_INFO, "info", "", 0, "describe this build and this machine",
     "Prints version and build, the CPU and its features, the kernel variants that were built and that this machine "
     "can "
     "run, the variant chosen for each kernel, and the number of threads. Then it draws the part of the machine that "
     "the "
     "process may use: packages, NUMA nodes, cores with their processors (P), and the threads (t) that are bound to "
     "them.",
     info_options},
    {CLI_HELP, "help", "[COMMAND]", 1, "print help about the program or a command",
     "Prints the help of a command, or of the program.", help_options},
    {0},
};

const struct cli_exit cli_exits[] = {
    {CLI_EXIT_OK, "success"},
    {CLI_EXIT_FAILURE, "failure while running: a data file cannot be read or is malformed, output cannot be written, "
                       "out of memory, a checkpoint that is damaged or of other images, a run of a sweep failed, a "
                       "benchmark gave a wrong "
                       "result; of compare: a benchmark is significantly slower"},
    {CLI_EXIT_USAGE,
     "wrong usage: an unknown command, option or preset, an invalid configuration, a kernel variant that "
     "is not available; of compare: or a document that cannot be read or written; of map: or results that cannot be "
     "read or are of another network; of train: or a checkpoint in the folder, without --resume or of another "
     "configuration; of eval and inspect: or a checkpoint of a later format, or images of another shape; of all: or "
     "an output that is an input, or two that are one file"},
    {CLI_EXIT_DIVERGED, "the training diverged"},
    {CLI_EXIT_INTERRUPTED,
     "train, sweep and bench: interrupted by SIGINT or SIGTERM; with --out the training can go on "
     "(--resume). Before the work has begun, and in other commands, these signals end the "
     "program at once"},
    {0},
};

#define BIT(command) (1u << (command))

const struct cli_variable cli_variables[] = {
    {"RPU_ISA", BIT(CLI_TRAIN) | BIT(CLI_EVAL) | BIT(CLI_SWEEP) | BIT(CLI_BENCH) | BIT(CLI_INFO),
     "Kernel variant to use, as --isa NAME, which overrides it; empty counts as not set."},
    {"OMP_NUM_THREADS", BIT(CLI_TRAIN) | BIT(CLI_EVAL) | BIT(CLI_BENCH) | BIT(CLI_INFO),
     "Read by the OpenMP runtime: the number of threads that --threads=0 stands for, and the largest that bench "
     "measures by default."},
    {"RPUBENCH_BENCH", BIT(CLI_BENCH), "Path of the program rpubench-bench, where it is not beside this one."},
    {0},
};
