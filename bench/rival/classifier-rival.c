/* Open vSwitch's own classifier, called directly, as the rival of bench/classifier.ts.
 *
 * Reads rules and keys on standard input, one a line:
 *     rule PRIORITY FIELD=VALUE/MASK ...
 *     key FIELD=VALUE ...
 * with numbers in hexadecimal, then repeats: a line "go N" on standard input makes N passes over the
 * keys without and N with un-wildcarding and answers one line:
 *     NS_PLAIN NS_WC BYTES_PER_RULE CHECK_RULES CHECK_MASKS
 * The two checks are sums over all keys, which the other side compares with its own.
 *
 * It is built by hand against the library of Debian's openvswitch-source package; see README.md. */

#include <config.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "classifier.h"
#include "flow.h"
#include "openvswitch/match.h"
#include "openvswitch/meta-flow.h"
#include "util.h"

enum { LINE_MAX_BYTES = 4096 };

struct entry {
    struct cls_rule rule;
    int number;
};

static struct flow *keys;
static size_t n_keys, max_keys;
static int n_rules;

/* Sets one field of 'flow' from a number. */
static void
put(struct flow *flow, const char *name, uint64_t value)
{
    if (!strcmp(name, "dl_type")) flow->dl_type = htons(value);
    else if (!strcmp(name, "nw_src")) flow->nw_src = htonl(value);
    else if (!strcmp(name, "nw_dst")) flow->nw_dst = htonl(value);
    else if (!strcmp(name, "nw_proto")) flow->nw_proto = value;
    else if (!strcmp(name, "tp_src")) flow->tp_src = htons(value);
    else if (!strcmp(name, "tp_dst")) flow->tp_dst = htons(value);
    else if (!strcmp(name, "in_port")) flow->in_port.odp_port = u32_to_odp(value);
    else if (!strcmp(name, "reg0")) flow->regs[0] = value;
    else if (!strcmp(name, "reg14")) flow->regs[14] = value;
    else if (!strcmp(name, "reg15")) flow->regs[15] = value;
    else if (!strcmp(name, "metadata")) flow->metadata = htonll(value);
    else if (!strcmp(name, "ct_state")) flow->ct_state = value;
    else if (!strcmp(name, "dl_src") || !strcmp(name, "dl_dst")) {
        struct eth_addr *ea = name[3] == 's' ? &flow->dl_src : &flow->dl_dst;
        eth_addr_from_uint64(value, ea);
    } else {
        fprintf(stderr, "unknown field %s\n", name);
        exit(2);
    }
}

/* The parts of a mask that the check sums up, as numbers. */
static uint32_t
mask_sum(const struct flow *m)
{
    uint32_t h = ntohs(m->dl_type);
    const uint32_t words[] = {
        ntohl(m->nw_src), ntohl(m->nw_dst), m->nw_proto,
        (uint32_t) ntohs(m->tp_src) << 16 | ntohs(m->tp_dst),
        odp_to_u32(m->in_port.odp_port), m->regs[0], m->regs[14], m->regs[15],
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        h = (h ^ words[i]) * 0x01000193u;
    }
    return h;
}

static void
read_line(struct classifier *cls, char *line)
{
    char *save = NULL;
    char *word = strtok_r(line, " \n", &save);
    bool is_rule = !strcmp(word, "rule");
    int priority = is_rule ? strtol(strtok_r(NULL, " \n", &save), NULL, 16) : 0;
    struct match match;

    match_init_catchall(&match);
    while ((word = strtok_r(NULL, " \n", &save)) != NULL) {
        char *eq = strchr(word, '='), *slash = strchr(word, '/');
        *eq = '\0';
        put(&match.flow, word, strtoull(eq + 1, NULL, 16));
        put(&match.wc.masks, word, slash ? strtoull(slash + 1, NULL, 16) : UINT64_MAX);
    }
    if (is_rule) {
        struct entry *e = xmalloc(sizeof *e);
        cls_rule_init(&e->rule, &match, priority);
        e->number = n_rules++;
        if (classifier_replace(cls, &e->rule, OVS_VERSION_MIN, NULL, 0)) {
            n_rules--;
        }
    } else {
        if (n_keys == max_keys) {
            keys = x2nrealloc(keys, &max_keys, sizeof *keys);
        }
        keys[n_keys++] = match.flow;
    }
}

static double
now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * 1e9 + ts.tv_nsec;
}

static void
measure(struct classifier *cls, int passes, double bytes)
{
    uint32_t rules = 0, masks = 0;
    double t0 = now_ns();
    for (int p = 0; p < passes; p++) {
        for (size_t i = 0; i < n_keys; i++) {
            const struct cls_rule *r = classifier_lookup(cls, OVS_VERSION_MIN, &keys[i], NULL);
            rules += r ? r->priority : 0;
        }
    }
    double t1 = now_ns();
    for (int p = 0; p < passes; p++) {
        for (size_t i = 0; i < n_keys; i++) {
            struct flow_wildcards wc;
            flow_wildcards_init_catchall(&wc);
            classifier_lookup(cls, OVS_VERSION_MIN, &keys[i], &wc);
            masks += mask_sum(&wc.masks);
        }
    }
    double t2 = now_ns(), lookups = (double) passes * n_keys;
    printf("%.1f %.1f %.1f %"PRIu32" %"PRIu32"\n", (t1 - t0) / lookups, (t2 - t1) / lookups,
           bytes / n_rules, rules, masks);
    fflush(stdout);
}

int
main(void)
{
    static const enum mf_field_id prefixes[] = { MFF_IPV4_DST, MFF_IPV4_SRC };
    struct classifier cls;
    char line[LINE_MAX_BYTES];
    size_t before = mallinfo2().uordblks;
    size_t rules_end = 0;

    classifier_init(&cls, flow_segment_u64s);
    classifier_set_prefix_fields(&cls, prefixes, ARRAY_SIZE(prefixes));
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "go ", 3)) {
            measure(&cls, atoi(line + 3), rules_end - before - (double) n_rules * sizeof(struct entry));
            continue;
        }
        if (line[0] == 'k' && !rules_end) {
            rules_end = mallinfo2().uordblks;
        }
        read_line(&cls, line);
    }
    return 0;
}
