/* SPDX-License-Identifier: Apache-2.0 */
/** @file mapping.h
 *  A network on hardware: which tiles its arrays take, and how long the cycles of an image last there. A model from
 *  shapes alone; nothing is simulated.
 *
 *  The model (Gokmen, Onen and Haensch 2017, discussion; Gokmen and Vlasov 2016 for the time of an array):
 *  - A cycle of a tile (forward read, backward read, update) takes the time t_meas for a vector, whatever the number of
 *    crosspoints in use. A convolution has ws vectors an image (the weight sharing factor: output positions), which go
 *    through its array one after the other: ws * t_meas. A fully connected layer has one.
 *  - An array that exceeds a tile is divided among a grid of tiles, as in training (max_rows, max_cols). They work at
 *    the same time; the digital sum of what they read costs no time.
 *  - Each reread by bound management costs t_meas again.
 *  - Replication: R copies of an array, on tiles of their own, share the vectors of an image, so that each has
 *    ceil(ws / R) at most.
 *  - A tile does one cycle at a time, and holds one array. The first array has no backward cycle.
 *  - In a pipeline, with as many images under way as there are layers, the slowest array sets the pace. Pooling,
 *    activations and the transport of vectors cost no time. */
#ifndef RPU_MAPPING_H
#define RPU_MAPPING_H

#include <stddef.h>
#include <stdint.h>

#include <rpu/config.h>
#include <rpu/network.h>
#include <rpu/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RPU_TILE_KINDS_MAX 8
#define RPU_T_MEAS_DEFAULT 80.0 /**< ns: of a 4096x4096 tile; one of 512x512 takes about 10 (reported) */

/** A kind of tile. */
struct rpu_tile_kind {
    uint32_t rows, cols; /**< most outputs and most inputs of an array on it, 1..1048576 */
    double t_meas;       /**< ns for a vector in a cycle, above 0 to 1e9 */
};

/** What the tiles are like. */
struct rpu_hardware {
    uint32_t n_kinds; /**< 0: each array has tiles of its own max_rows x max_cols (0: of its own size), at t_meas */
    struct rpu_tile_kind kinds[RPU_TILE_KINDS_MAX];
    double t_meas; /**< ns, where there are no kinds; above 0 to 1e9 */
    double t_slot; /**< ns of a slot of the pulse trains: updates take BL slots a vector; 0: they take t_meas; to 1e9 */
};

/** One array on its tiles. */
struct rpu_mapped_array {
    /* the network's: rpu_mapping_of */
    char name[RPU_NAME_MAX];
    uint32_t outputs, inputs;    /**< M and N, the bias included */
    uint32_t columns;            /**< ws: vectors an image */
    int has_backward;            /**< 0 for the first array */
    int32_t bl;                  /**< slots of an update */
    uint32_t max_rows, max_cols; /**< as configured; 0: no limit */
    uint64_t macs;               /**< multiplications of an image in one cycle: M N ws */
    uint32_t devices;            /**< crosspoints of a weight, each on an input line of its own */
    /* asked for: set by the caller between rpu_mapping_of, which sets the configuration's copies, 0 and 0, and
     * rpu_mapping_compute */
    uint32_t copies;   /**< 1..columns */
    uint32_t kind;     /**< k: on tiles of kinds[k - 1]; 0: on the fastest kind that holds the array on one tile, where
                            none does on the largest */
    double rereads[2]; /**< mean rereads of a vector, forward and backward, 0..30 */
    uint32_t reread_rows, reread_cols, reread_copies; /**< grid_rows, grid_cols and copies of the training that they
                                                           were counted in; 0: not known */
    /* made of these: rpu_mapping_compute */
    struct rpu_tile_kind tile;     /**< it is on */
    uint32_t grid_rows, grid_cols; /**< tiles of a copy */
    uint64_t tiles;                /**< of all copies */
    double used;                   /**< share of their crosspoints that hold a weight, above 0 to 1 */
    uint32_t longest;              /**< vectors of the copy that has most of them */
    double vector_ns[3]; /**< of a vector in each cycle (enum rpu_cycle); 0 for the first array's backward cycle */
    double ns[3];        /**< of an image in each cycle: longest x vector_ns */
};

/** What an array does for an image. */
enum rpu_use {
    RPU_USE_TRAINING, /**< all three cycles */
    RPU_USE_INFERENCE /**< the forward cycle */
};

/** How fast a network is. */
struct rpu_pace {
    uint32_t slowest; /**< array that sets it; the first of equals */
    double ns;        /**< from image to image in a pipeline: the time of that array */
    double alone_ns;  /**< of one image through all arrays, one cycle after the other */
};

/** A network on its tiles; plain data. */
struct rpu_mapping {
    uint32_t height, width, channels; /**< of the images */
    uint32_t n_arrays;
    struct rpu_mapped_array arrays[RPU_LAYERS_MAX];
    uint64_t weights, macs;  /**< of all arrays, copies not counted */
    uint64_t tiles;          /**< of all arrays and copies */
    double crosspoints;      /**< of all tiles */
    double used;             /**< share of them that hold a weight */
    struct rpu_pace pace[2]; /**< by enum rpu_use */
};

/** The arrays of a network for images of this shape; what can be asked for is set to the configuration's copies, any
 *  kind of tile, and no rereads.
 *  RPU_ERR_SHAPE names the layer that does not fit; RPU_ERR_RANGE and RPU_ERR_ARG for layers that rpu_network_create
 *  refuses so. */
RPU_API enum rpu_status rpu_mapping_of(struct rpu_mapping *mapping, const struct rpu_config *config, uint32_t height,
                                       uint32_t width, uint32_t channels, struct rpu_error *err);

/** Tiles and times of a mapping. RPU_ERR_RANGE names what is out of range. */
RPU_API enum rpu_status rpu_mapping_compute(struct rpu_mapping *mapping, const struct rpu_hardware *hardware,
                                            struct rpu_error *err);

/** Time of one copy of an array for an image, of a mapping that was computed; 0 for null. */
RPU_API double rpu_mapped_ns(const struct rpu_mapped_array *array, enum rpu_use use);

/** A replication. */
struct rpu_balance {
    uint32_t leader;                 /**< array whose single copy sets the pace */
    uint32_t copies[RPU_LAYERS_MAX]; /**< of each array */
    uint64_t tiles;                  /**< of all of them */
    double ns;                       /**< from image to image in a pipeline, at most the leader's time */
};

/** Replications that balance the pipeline better and better: in each an array, the leader, has one copy, and every
 *  other one the fewest copies with which it keeps up with it. Fewer tiles do not reach the leader's pace. The leader
 *  of the first is the slowest array (one copy of each); that of the last the fastest convolution, or the fastest array
 *  with which all can keep up, if each vector has a copy of its own. Of a mapping that was computed; how many copies
 *  that has does not matter. Returns their number, at least 1, or 0 for null; `steps` has room for RPU_LAYERS_MAX. */
RPU_API size_t rpu_mapping_balance(const struct rpu_mapping *mapping, enum rpu_use use, struct rpu_balance *steps);

#ifdef __cplusplus
}
#endif
#endif
