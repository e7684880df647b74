package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

// scanLimit is how many keys of a node are looked at for the states of others.
const scanLimit = 500_000

// redisSettings are what is asked of CONFIG GET.
var redisSettings = []string{
	"maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "min-replicas-to-write",
	"hash-max-listpack-value", "hash-max-listpack-entries",
}

// LookAtRedis gathers what Redis tells of itself. addrs are those of the
// configuration; tp is a partition on whose keys the rights are tried; now is this
// machine's clock. Nothing is changed.
func LookAtRedis(ctx context.Context, client goredis.UniversalClient, addrs []string, group string, tp processor.TopicPartition, now func() time.Time) *RedisFacts {
	f := &RedisFacts{Addresses: make([]Broker, len(addrs))}
	var wg sync.WaitGroup
	for i, addr := range addrs {
		f.Addresses[i] = Broker{Address: addr, Seed: true}
		wg.Go(func() { f.Addresses[i].Err = dial(ctx, addr) })
	}
	wg.Wait()
	var mu sync.Mutex
	each := func(ctx context.Context, cl *goredis.Client) error {
		n := lookAtNode(ctx, cl, group, tp, now)
		mu.Lock()
		defer mu.Unlock()
		f.Nodes = append(f.Nodes, n)
		if n.Err == nil && f.ScanErr == nil {
			f.ScanErr = f.scan(ctx, cl)
		}
		return nil
	}
	var err error
	switch cl := client.(type) {
	case *goredis.ClusterClient:
		err = cl.ForEachMaster(ctx, each)
	case *goredis.Client:
		err = each(ctx, cl)
	default:
		err = fmt.Errorf("a client of the kind %T cannot be looked at", client)
	}
	if f.Err = err; err == nil && len(f.Nodes) == 0 {
		f.Err = errors.New("the Cluster names no master")
	}
	return f
}

func dial(ctx context.Context, addr string) error {
	conn, err := (&net.Dialer{Timeout: oneAnswer}).DialContext(ctx, "tcp", addr)
	if err == nil {
		err = conn.Close()
	}
	return err
}

func lookAtNode(ctx context.Context, cl *goredis.Client, group string, tp processor.TopicPartition, now func() time.Time) Node {
	n := Node{Address: cl.Options().Addr}
	first, cancel := context.WithTimeout(ctx, oneAnswer)
	defer cancel()
	if err := cl.Ping(first).Err(); err != nil && !goredis.HasErrorPrefix(err, "NOPERM") {
		n.Err = err
		return n
	}
	text, err := cl.Info(ctx).Result()
	n.Info, n.InfoErr = parseInfo(text), err
	n.Settings = redisConfig(ctx, cl)
	asked := now()
	theirs, err := cl.Time(ctx).Result()
	if answered := now(); err == nil {
		n.Blur = answered.Sub(asked) / 2
		n.Skew = theirs.Sub(asked.Add(n.Blur))
	}
	n.SkewErr = err
	n.Denied, n.DeniedErr = redis.CheckRights(ctx, cl, group, tp)
	return n
}

func redisConfig(ctx context.Context, cl *goredis.Client) Settings {
	args := []any{"config", "get"}
	for _, name := range redisSettings {
		args = append(args, name)
	}
	got, err := cl.Do(ctx, args...).Result()
	s := Settings{Values: map[string]string{}, Err: err}
	switch pairs := got.(type) {
	case map[any]any: // RESP 3
		for name, value := range pairs {
			s.Values[fmt.Sprint(name)] = fmt.Sprint(value)
		}
	case []any:
		for i := 0; i+1 < len(pairs); i += 2 {
			s.Values[fmt.Sprint(pairs[i])] = fmt.Sprint(pairs[i+1])
		}
	}
	return s
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

// scan looks for headers of partitions.
func (f *RedisFacts) scan(ctx context.Context, cl *goredis.Client) error {
	const page = 5000
	cursor := uint64(0)
	for range scanLimit / page {
		found, next, err := cl.Scan(ctx, cursor, "nudged:{*}:h", page).Result()
		if err != nil {
			return err
		}
		for _, key := range found {
			if s, ok := storedIn(key); ok && !slices.Contains(f.Stored, s) { // a scan may tell a key twice
				f.Stored = append(f.Stored, s)
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
	f.ScanCut = true
	return nil
}

// storedIn reads the key of a header: nudged:{group:topic:partition}:h. A group may
// hold colons, a topic cannot.
func storedIn(key string) (Stored, bool) {
	rest, ok1 := strings.CutPrefix(key, "nudged:{")
	rest, ok2 := strings.CutSuffix(rest, "}:h")
	at := strings.LastIndexByte(rest, ':')
	if !ok1 || !ok2 || at < 0 {
		return Stored{}, false
	}
	partition, err := strconv.ParseInt(rest[at+1:], 10, 32)
	names := rest[:at]
	at = strings.LastIndexByte(names, ':')
	if err != nil || at < 0 {
		return Stored{}, false
	}
	return Stored{names[:at], processor.TopicPartition{Topic: names[at+1:], Partition: int32(partition)}}, true
}
