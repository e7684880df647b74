package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/nudged/nudged/processor"
	"github.com/nudged/nudged/processor/redis"
)

// cluster is a Redis Cluster of the test's own: three masters.
type cluster struct {
	client goredis.UniversalClient
	nodes  []*goredis.Client
	ids    []string
}

const slots = 16384

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	var addresses []string
	for range 3 {
		node := ownServer(t, "--cluster-enabled", "yes")
		c.nodes = append(c.nodes, node)
		addresses = append(addresses, node.Options().Addr)
	}
	for i, node := range c.nodes {
		do(t, node, "CLUSTER", "ADDSLOTSRANGE", slots*i/3, slots*(i+1)/3-1)
		c.ids = append(c.ids, node.ClusterMyID(t.Context()).Val())
	}
	for _, other := range c.nodes[1:] {
		host, port, err := net.SplitHostPort(other.Options().Addr)
		if err != nil {
			t.Fatal(err)
		}
		bus, err := other.ConfigGet(t.Context(), "cluster-port").Result()
		if err != nil {
			t.Fatal(err)
		}
		do(t, c.nodes[0], "CLUSTER", "MEET", host, port, bus["cluster-port"])
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, node := range c.nodes {
		// Nothing tells when they have met: ask.
		for node.ClusterInfo(ctx).Val() == "" || !c.met(ctx, node) {
			select {
			case <-ctx.Done():
				t.Fatalf("the nodes have not met within a minute: %s", node.ClusterInfo(t.Context()).Val())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	c.client = connect(t, redis.Endpoint{Addrs: addresses[:1], Cluster: true})
	return c
}

func (c *cluster) met(ctx context.Context, node *goredis.Client) bool {
	info := node.ClusterInfo(ctx).Val()
	return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
}

func TestConformanceCluster(t *testing.T) {
	c := startCluster(t)
	t.Run("Script", func(t *testing.T) { suite(t, c.client, 0, never) })
	t.Run("Transaction", func(t *testing.T) { suite(t, c.client, 4, always) })

	if err := redis.CheckPolicy(t.Context(), c.client); err != nil {
		t.Error(err)
	}
	do(t, c.nodes[2], "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	refuses(t, c.client, "allkeys-lru", c.nodes[2].Options().Addr)
}

// While a slot is on its way to another node a batch is refused whole, and it
// passes when the slot has arrived.
func TestClusterMovesASlot(t *testing.T) {
	c := startCluster(t)
	for name, large := range map[string]int{"Script": never, "Transaction": always} {
		t.Run(name, func(t *testing.T) {
			s := owned(t, c.client)
			redis.SetLargeBatch(s.Store, large)
			for n := range int64(3) {
				if n > 0 {
					if err := s.Write(t.Context(), tp, batch(n)); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := s.content(t)
			keys := slices.Sorted(maps.Keys(before))
			slot := int(c.client.ClusterKeySlot(t.Context(), keys[0]).Val())
			from := slices.IndexFunc(c.nodes, func(n *goredis.Client) bool { return n.Exists(t.Context(), keys[0]).Val() == 1 })
			to := (from + 1) % len(c.nodes)
			do(t, c.nodes[to], "CLUSTER", "SETSLOT", slot, "IMPORTING", c.ids[from])
			do(t, c.nodes[from], "CLUSTER", "SETSLOT", slot, "MIGRATING", c.ids[to])

			// The header goes first or last, and one or the other user bucket.
			slices.SortFunc(keys, func(a, b string) int { return strings.Compare(a[len(a)-1:], b[len(b)-1:]) })
			passed := false
			for i, key := range append(keys, "") {
				if !passed {
					err := s.Write(t.Context(), tp, batch(3))
					var e *redis.Error
					switch {
					case err == nil:
						passed = true // all it needs is in one place
					case !errors.As(err, &e) || !e.Temporary():
						t.Fatalf("Write after %d of %d keys have moved = %v, want a temporary error", i, len(keys), err)
					default:
						same(t, fmt.Sprintf("after %d of %d keys have moved", i, len(keys)), s.content(t), before)
					}
					if err != nil {
						// What is read is what is there, or nothing is.
						got, err := s.States(t.Context(), tp, processor.Fence{Epoch: 1, Version: 3}, []string{"user 1", "user 9"})
						if err == nil && (string(got[0]) != "state 2 1" || string(got[1]) != "state 1 9") || err != nil && !(errors.As(err, &e) && e.Temporary()) {
							t.Errorf("after %d of %d keys have moved: States = %q, %v", i, len(keys), got, err)
						}
					}
				}
				if key != "" {
					host, port, _ := net.SplitHostPort(c.nodes[to].Options().Addr)
					do(t, c.nodes[from], "MIGRATE", host, port, key, 0, 5000)
				}
			}
			for _, node := range []int{to, from} {
				do(t, c.nodes[node], "CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
			}
			// Applied now, or known to be.
			if err := s.Write(t.Context(), tp, batch(3)); err != nil {
				t.Fatalf("Write after all have moved = %v", err)
			}
			if err := s.Write(t.Context(), tp, batch(4)); err != nil {
				t.Fatalf("Write of the next = %v", err)
			}
			got, err := s.States(t.Context(), tp, processor.Fence{Epoch: 1, Version: 5}, []string{"user 1", "user 9"})
			if err != nil || string(got[0]) != "state 4 1" || string(got[1]) != "state 3 9" {
				t.Errorf("States = %q, %v", got, err)
			}
			if h, err := s.Peek(t.Context(), tp); err != nil || h.Seq != 5 {
				t.Errorf("Peek = %+v, %v, want batch 5", h, err)
			}
		})
	}
}
