package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
)

const (
	defaultUserBuckets = 1024
	maxUserBuckets     = 1 << 16
)

// Options of a Store.
type Options struct {
	// Group is the consumer group whose partitions are kept, without braces.
	Group string
	// UserBuckets is the number of hashes that the users of a partition are
	// spread over, 1 to 65,536; 0: 1,024. It counts when a partition is stored
	// for the first time and is then fixed.
	UserBuckets int
	// Address names Redis in errors; "": as the client does.
	Address string
}

// Store is a processor.Store in Redis. It may be used by several goroutines.
type Store struct {
	client  goredis.UniversalClient
	group   string
	buckets int
	address string
	// large is the number of users from which on a batch is written in a
	// transaction.
	large int

	mu sync.RWMutex
	// claimed holds the partitions that this Store has claimed, whose number of
	// user buckets is known therefore.
	claimed map[processor.TopicPartition]*partition

	batches sync.Pool // of *batchArgs
}

var _ processor.Store = (*Store)(nil)

// New returns a Store of one group. The client is not closed by it. Connect
// makes a client that fits; one that reads from replicas or repeats calls is
// refused.
func New(client goredis.UniversalClient, o Options) (*Store, error) {
	if o.Group == "" {
		return nil, errors.New("redis: the group is empty: name the consumer group")
	}
	if strings.ContainsAny(o.Group, "{}") {
		return nil, fmt.Errorf("redis: the group name %q holds a brace: keys of one partition would not lie in one slot of a Cluster; choose a group name without { and }", o.Group)
	}
	if o.UserBuckets == 0 {
		o.UserBuckets = defaultUserBuckets
	}
	if o.UserBuckets < 1 || o.UserBuckets > maxUserBuckets {
		return nil, fmt.Errorf("redis: %d user buckets, expected 1 to %d", o.UserBuckets, maxUserBuckets)
	}
	if err := unfit(client); err != nil {
		return nil, err
	}
	if o.Address == "" {
		o.Address = describe(client)
	}
	s := &Store{
		client: client, group: o.Group, buckets: o.UserBuckets, address: o.Address, large: largeBatch,
		claimed: map[processor.TopicPartition]*partition{},
	}
	s.batches.New = func() any { return &batchArgs{} }
	return s, nil
}

// Peek implements processor.Store.
func (s *Store) Peek(ctx context.Context, tp processor.TopicPartition) (*processor.Header, error) {
	p := newPartition(s.group, tp)
	h, err := s.readHeader(ctx, p)
	if err != nil {
		return nil, s.failure("reading the header", p, err)
	}
	if h == nil {
		return nil, nil
	}
	oldest, err := s.client.LRange(ctx, p.outbox, 0, 0).Result()
	if err == nil && len(oldest) > 0 {
		if h.Oldest, err = strconv.ParseInt(oldest[0], 10, 64); err != nil {
			err = &damage{fmt.Errorf("outbox: %w", err)}
		}
	}
	if err != nil {
		return nil, s.failure("reading the outbox", p, err)
	}
	return &h.Header, nil
}

func (s *Store) readHeader(ctx context.Context, p *partition) (*stored, error) {
	fields, err := s.client.HGetAll(ctx, p.header).Result()
	if err != nil || len(fields) == 0 {
		return nil, err
	}
	return parseHeader(fields)
}

// Fence implements processor.Store.
func (s *Store) Fence(ctx context.Context, tp processor.TopicPartition) (epoch, version int64, err error) {
	const op = "reading the fence"
	p := newPartition(s.group, tp)
	v, err := s.client.HMGet(ctx, p.header, "e", "v").Result()
	if err != nil {
		return 0, 0, s.failure(op, p, err)
	}
	f, err := s.parseFence(op, p, v)
	return f.Epoch, f.Version, err
}

// keys returns the partition with the keys of its user buckets; nil if there is
// no header. Of a partition that was claimed here they are known: nobody else
// changes their number without a higher epoch.
func (s *Store) keys(ctx context.Context, tp processor.TopicPartition) (*partition, error) {
	s.mu.RLock()
	p := s.claimed[tp]
	s.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	p = newPartition(s.group, tp)
	h, err := s.readHeader(ctx, p)
	if err != nil {
		return nil, s.failure("reading the header", p, err)
	}
	if h == nil {
		return nil, nil
	}
	return p.withBuckets(h.buckets), nil
}
