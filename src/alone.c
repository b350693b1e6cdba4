/* SPDX-License-Identifier: Apache-2.0 */
#include "alone.h"

/* Minibatches. Of a trial the first are not counted: threads may have to wake up, and what they need is in the caches
 * of others. A trial costs what the worse way takes more, a per cent of a window, less of the longest interval. */
enum { WINDOW = 256, TRIAL_FIRST = 4, TRIAL = 24, INTERVAL_MOST = 8192 };

#define GAIN    0.95 /* of the time, at most: to be worth a change */
#define WORSE   1.25 /* of the time: a window that takes so much calls for a trial */
#define LONGEST 2e-3 /* seconds: a minibatch that takes longer has work enough for all, and trials would be dear */

int rpu_alone_next(const struct rpu_alone *a) {
    return a->chosen != a->trial;
}

static double of_image(const struct rpu_alone *a) {
    return a->seconds / a->images;
}

static void begin(struct rpu_alone *a, int trial) {
    a->trial = trial;
    a->steps = a->images = 0;
    a->seconds = 0.0;
}

static void end_trial(struct rpu_alone *a) {
    if (of_image(a) < GAIN * a->last) {
        a->chosen = !a->chosen;
        a->interval = WINDOW;
    } else {
        a->interval = 4 * a->interval < INTERVAL_MOST ? 4 * a->interval : INTERVAL_MOST;
    }
    a->since = 0;
    a->base = 0.0;
    begin(a, 0);
}

static void end_window(struct rpu_alone *a) {
    const int longer = a->base > 0.0 && of_image(a) > WORSE * a->base, is_short = a->seconds < LONGEST * WINDOW;
    a->last = of_image(a);
    if (a->base == 0.0)
        a->base = a->last;
    if (a->interval == 0 || longer)
        a->interval = WINDOW;
    begin(a, is_short && (longer || a->since >= a->interval));
}

void rpu_alone_took(struct rpu_alone *a, size_t images, double seconds) {
    a->steps++;
    a->since++;
    if (!a->trial || a->steps > TRIAL_FIRST) {
        a->images += (uint32_t)images;
        a->seconds += seconds;
    }
    if (a->trial && a->steps == TRIAL_FIRST + TRIAL)
        end_trial(a);
    else if (!a->trial && a->steps == WINDOW)
        end_window(a);
}
