package integration

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const clusterSlots = 16384

// cluster is a Redis Cluster of three masters.
type cluster struct {
	t     *testing.T
	nodes []*redisServer
	ids   []string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for i := range 3 {
		var bus string
		node := startRedis(t, nil, func(port string) []string {
			bus = freePort(t)
			return []string{"--bind", "127.0.0.1", "--port", port, "--cluster-port", bus, "--cluster-enabled", "yes", "--maxmemory-policy", "noeviction"}
		})
		c.nodes = append(c.nodes, node)
		node.do("CLUSTER", "ADDSLOTSRANGE", clusterSlots*i/3, clusterSlots*(i+1)/3-1)
		c.ids = append(c.ids, node.do("CLUSTER", "MYID").(string))
		if i > 0 {
			c.nodes[0].do("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
		}
	}
	eventually(t, "the nodes have met", func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *redisServer) bool {
			info := n.client.ClusterInfo(t.Context()).Val()
			return !strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_known_nodes:3")
		})
	})
	return c
}

// allow makes the user with the rights that are documented for a Cluster.
func (c *cluster) allow() {
	c.t.Helper()
	file, err := os.ReadFile("../../deploy/redis/users.acl")
	if err != nil {
		c.t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/deployment.md")
	if err != nil {
		c.t.Fatal(err)
	}
	user := regexp.MustCompile(`(?m)^user nudged on #NUDGED_SHA256 (.*)$`).FindSubmatch(file)
	more := regexp.MustCompile("In a Cluster add `([^`]*)`").FindSubmatch(doc)
	if user == nil || more == nil {
		c.t.Fatal("the rights in a Cluster are not where they are documented")
	}
	args := []any{"ACL", "SETUSER", "nudged", "on", ">" + redisPassword}
	for _, word := range strings.Fields(string(user[1]) + " " + string(more[1])) {
		args = append(args, word)
	}
	for _, n := range c.nodes {
		n.do(args...)
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// slotOf asks Redis.
func (c *cluster) slotOf(key string) int64 {
	c.t.Helper()
	return c.nodes[0].do("CLUSTER", "KEYSLOT", key).(int64)
}

// owner is the node that has the slot.
func (c *cluster) owner(slot int64) int {
	c.t.Helper()
	for i, n := range c.nodes {
		ranges, err := n.client.ClusterSlots(c.t.Context()).Result() //nolint:staticcheck // Redis 6 has no CLUSTER SHARDS
		if err != nil {
			c.t.Fatal(err)
		}
		for _, r := range ranges {
			if int64(r.Start) <= slot && slot <= int64(r.End) && len(r.Nodes) > 0 && r.Nodes[0].ID == c.ids[i] {
				return i
			}
		}
	}
	c.t.Fatalf("no node has slot %d", slot)
	return 0
}

// move takes a slot to the next node. half runs while half of its keys lie on either,
// all once all are there and nobody has been told.
func (c *cluster) move(slot int64, half, all func()) {
	c.t.Helper()
	from := c.owner(slot)
	to := (from + 1) % len(c.nodes)
	c.nodes[to].do("CLUSTER", "SETSLOT", slot, "IMPORTING", c.ids[from])
	c.nodes[from].do("CLUSTER", "SETSLOT", slot, "MIGRATING", c.ids[to])
	migrate := func(n int64) (moved int) {
		keys := c.nodes[from].do("CLUSTER", "GETKEYSINSLOT", slot, n).([]any)
		if len(keys) > 0 {
			c.nodes[from].do(append([]any{"MIGRATE", "127.0.0.1", c.nodes[to].port, "", 0, 60_000, "KEYS"}, keys...)...)
		}
		return len(keys)
	}
	migrate(c.nodes[from].do("CLUSTER", "COUNTKEYSINSLOT", slot).(int64) / 2)
	half()
	for migrate(100) > 0 {
	}
	all()
	for _, i := range []int{to, from, 3 - to - from} {
		c.nodes[i].do("CLUSTER", "SETSLOT", slot, "NODE", c.ids[to])
	}
}

// told counts how often the nodes have answered with an error.
func (c *cluster) told(kind string) int {
	total := 0
	for _, n := range c.nodes {
		for line := range strings.Lines(n.info("errorstats")) {
			var count int
			if _, err := fmt.Sscanf(strings.TrimSpace(line), "errorstat_"+kind+":count=%d", &count); err == nil {
				total += count
			}
		}
	}
	return total
}

// Slots of partitions in use are moved to other nodes while events come in: what is
// decided is the same, and all keys of a partition lie in one slot.
func TestClusterMovesSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	want := expected(t, python(t), shopFile)
	c := startCluster(t)
	c.allow()
	w.redisConfig = fmt.Sprintf("{mode: cluster, addrs: [%q], user_buckets: 32, username: nudged, password: %q}", c.nodes[0].addr, redisPassword)
	d := start(t, "--config", w.config(shopRules, "event"))
	d.untilReady(shopPartitions)
	// The 170 minutes in 10 seconds.
	loaded := w.load(shopFile, "--speed", "1000x")
	sends := w.tail(w.sends)
	for p := range 4 {
		sends.untilCount((p + 1) * want.sent().total() / 8)
		slot := c.slotOf(fmt.Sprintf("nudged:{%s:%s:%d}:h", w.group, w.events, p))
		refused, asked := c.told("TRYAGAIN"), c.told("ASK")
		c.move(slot, func() {
			eventually(t, "a batch meets a slot that is half here and half there", func() bool { return c.told("TRYAGAIN") > refused })
		}, func() {
			eventually(t, "somebody is sent on to the other node", func() bool { return c.told("ASK") > asked })
		})
	}
	loaded()
	w.untilConsumed()
	d.untilReady(shopPartitions)
	d.terminate()
	w.requireOutcomes(want)
	for _, kind := range []string{"MOVED", "ASK", "TRYAGAIN"} {
		n := c.told(kind)
		t.Logf("%s: %d times", kind, n)
		if n == 0 {
			t.Errorf("no node has ever answered %s: the test shows nothing", kind)
		}
	}
	c.requireOneSlot(w)
}

// requireOneSlot fails unless all keys of a partition lie in one slot, and on the node
// that has it.
func (c *cluster) requireOneSlot(w *world) {
	c.t.Helper()
	slots := map[string]int64{} // of each partition
	keys := 0
	for i, n := range c.nodes {
		it := n.client.Scan(c.t.Context(), 0, "*", 1000).Iterator()
		for it.Next(c.t.Context()) {
			key := it.Val()
			keys++
			partition, _, ok := strings.Cut(key, "}:")
			if !ok || !strings.HasPrefix(key, "nudged:{"+w.group+":") {
				c.t.Errorf("key %q is not one of nudged", key)
				continue
			}
			slot := c.slotOf(key)
			if other, ok := slots[partition]; ok && other != slot {
				c.t.Errorf("key %q is in slot %d, others of its partition in %d", key, slot, other)
			}
			slots[partition] = slot
			if owner := c.owner(slot); owner != i {
				c.t.Errorf("key %q lies on node %d, its slot %d on node %d", key, i, slot, owner)
			}
		}
		if err := it.Err(); err != nil {
			c.t.Fatal(err)
		}
	}
	if len(slots) != shopPartitions || keys < 10*shopPartitions {
		c.t.Errorf("%d keys of %d partitions, want those of %d", keys, len(slots), shopPartitions)
	}
}
