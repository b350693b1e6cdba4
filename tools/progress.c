/* SPDX-License-Identifier: Apache-2.0 */
#include "../src/app.h"
#include "commands.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

/* Time between two lines on a terminal. */
#define PROGRESS_SECONDS 0.1

/* What the signal handler shares with the rest: it sets the one, and ends the process that the other names. */
static volatile sig_atomic_t stop_asked, passed_on_to;
/* Nanoseconds of when the first signal came, of either kind, or of each; 0: not yet. Any thread may handle one. */
static _Atomic int64_t first_came[2];
static volatile sig_atomic_t kind_by_kind;

static void on_signal(int number) {
    const int before = errno;
    const int64_t now = (int64_t)(1e9 * rpu_now()) + 1;
    _Atomic int64_t *const first = &first_came[kind_by_kind && number == SIGINT];
    int64_t before_this = 0;
    if (atomic_compare_exchange_strong(first, &before_this, now)) {
        stop_asked = 1;
        if (passed_on_to > 0)
            kill((pid_t)passed_on_to, SIGTERM);
    } else if ((double)(now - before_this) > 1e9 * INTERRUPT_SECONDS) {
        signal(number, SIG_DFL);
        raise(number);
    }
    errno = before;
}

/* A launcher that is interrupted may send its ranks the one kind at once and the other to end them: that is a single
 * interrupt. There each kind has a second one of its own. */
void interrupts_catch(int flags) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    kind_by_kind = rpu_dist_launched();
    action.sa_handler = on_signal;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT); /* else the other kind, in the middle of the handler, were a first one too */
    sigaddset(&action.sa_mask, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void interrupts_pass_on(pid_t child) {
    passed_on_to = (sig_atomic_t)child;
    if (child > 0 && interrupts_pending())
        kill(child, SIGTERM);
}

int interrupts_pending(void) {
    return stop_asked != 0;
}

void progress_init(struct progress *progress, FILE *out) {
    progress->out = out;
    progress->terminal = out && isatty(fileno(out));
    progress->width = 0;
    progress->last = rpu_now();
}

void progress_clear(struct progress *progress) {
    if (progress->out && progress->width > 0) {
        fprintf(progress->out, "\r%*s\r", progress->width, "");
        fflush(progress->out);
    }
    progress->width = 0;
}

static void print_epoch(FILE *out, const struct rpu_epoch *e, uint32_t epochs, uint32_t images) {
    fprintf(out, "epoch %u/%u: train loss %.4f, test loss %.4f, test error %.2f %%, %.1f s (%.0f images/s)\n", e->epoch,
            epochs, e->train_loss, e->test_loss, 100.0 * e->test_error, e->seconds,
            e->train_seconds > 0.0 ? images / e->train_seconds : 0.0);
    fflush(out);
}

static void print_line(struct progress *progress, const struct rpu_progress *p) {
    const double left = p->seconds_left < 0.0 ? 0.0 : p->seconds_left;
    const unsigned long seconds = (unsigned long)(left + 0.5);
    const double at = rpu_now();
    int n;
    if (at - progress->last < PROGRESS_SECONDS)
        return;
    progress->last = at;
    if (p->image >= p->images)
        n = fprintf(progress->out, "\repoch %u/%u: testing", p->epoch, p->epochs);
    else
        n = fprintf(progress->out, "\repoch %u/%u: image %u/%u, %.0f images/s, %lu:%02lu:%02lu left", p->epoch,
                    p->epochs, p->image, p->images, p->images_per_second, seconds / 3600, seconds / 60 % 60,
                    seconds % 60);
    n = n > 0 ? n - 1 : 0; /* without the carriage return */
    if (n < progress->width)
        fprintf(progress->out, "%*s", progress->width - n, "");
    progress->width = n;
    fflush(progress->out);
}

int progress_report(const struct rpu_progress *p, void *user) {
    struct progress *progress = user;
    if (progress->out && p->finished) {
        progress_clear(progress);
        print_epoch(progress->out, p->finished, p->epochs, p->images);
        progress->last = rpu_now();
    } else if (progress->out && progress->terminal) {
        print_line(progress, p);
    }
    return interrupts_pending();
}
