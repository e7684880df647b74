package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

const (
	// wipeStep is how many keys are removed by one call.
	wipeStep = 256
	// scanPage is how many keys Redis looks at in one call.
	scanPage = 1000
)

// Wipe implements processor.Store. Names of rules stay, since the claim has
// written them. The header's version is a higher one afterwards, which Peek tells,
// so that a Redis that falls back to before the emptying is noticed. An emptying
// that was not carried through is begun anew by the next call.
//
// First go the keys that a partition can have, which are known from the header
// and the set of timer buckets; that does not depend on Redis staying the same
// process meanwhile. Then a scan removes what else begins like them.
func (s *Store) Wipe(ctx context.Context, tp processor.TopicPartition, epoch int64) error {
	const op = "wipe"
	p := newPartition(s.group, tp)
	h, err := s.readHeader(ctx, p)
	switch {
	case err != nil:
		return s.failure(op, p, err)
	case h == nil:
		return s.refusal(op, p, processor.ErrLost, "there is no header")
	}
	w := &wiping{store: s, partition: p.withBuckets(h.buckets), epoch: epoch, version: h.Version}
	if !h.Wiping {
		if err := w.step(ctx, "begin", nil); err != nil {
			return err
		}
	}
	if err := w.removeKnown(ctx); err != nil {
		return err
	}
	if err := w.removeFound(ctx); err != nil {
		return err
	}
	return w.step(ctx, "end", nil)
}

// wiping is the emptying of one partition.
type wiping struct {
	store     *Store
	partition *partition
	epoch     int64
	version   int64 // after the last step
}

func (w *wiping) step(ctx context.Context, name string, keys []string) error {
	const op = "wipe"
	args := make([]any, scriptHead, scriptHead+1+len(keys)+4)
	args = append(args, w.partition.header)
	for _, k := range keys {
		args = append(args, k)
	}
	args = append(args, w.epoch, w.version, w.version+1, name)
	word, rest, err := call(ctx, w.store.client, wipeScript, 1+len(keys), args)
	if err != nil {
		return w.store.failure(op, w.partition, err)
	}
	if word != "ok" {
		return w.store.refused(op, w.partition, word, rest, w.epoch, w.version)
	}
	w.version++
	return nil
}

func (w *wiping) unlink(ctx context.Context, keys []string) error {
	for portion := range slices.Chunk(keys, wipeStep) {
		if err := w.step(ctx, "unlink", portion); err != nil {
			return err
		}
	}
	return nil
}

// removeKnown removes the keys that a partition can have. The set of timer
// buckets goes last: it tells which lists there are.
func (w *wiping) removeKnown(ctx context.Context) error {
	p := w.partition
	numbers, err := w.store.client.SMembers(ctx, p.timers).Result()
	if err != nil {
		return w.store.failure("wipe", p, err)
	}
	keys := slices.Clone(p.users)
	for _, text := range numbers {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			continue // not ours: the scan finds what there is
		}
		keys = append(keys, p.timerList(n))
	}
	return w.unlink(ctx, append(keys, p.outbox, p.timers))
}

// removeFound removes all other keys with the partition's prefix.
func (w *wiping) removeFound(ctx context.Context) error {
	p := w.partition
	node, err := scanner(ctx, w.store.client, p.header)
	if err != nil {
		return w.store.failure("wipe", p, err)
	}
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, pattern(p.prefix), scanPage).Result()
		if err != nil {
			return w.store.failure("wipe", p, err)
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == p.header || k == p.names })
		if err := w.unlink(ctx, keys); err != nil {
			return err
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// scanner returns a client whose SCAN sees key: in a Cluster, the master that
// holds its slot.
func scanner(ctx context.Context, client goredis.UniversalClient, key string) (goredis.Cmdable, error) {
	if c, ok := client.(*goredis.ClusterClient); ok {
		node, err := c.MasterForKey(ctx, key)
		if err != nil {
			return nil, err
		}
		if node == nil {
			return nil, errors.New("no node of the Cluster holds the partition's slot")
		}
		return node, nil
	}
	return client, nil
}
