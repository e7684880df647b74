package doctor

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nudged/nudged/internal/config"
)

func (n *findings) redis(f *Facts) {
	r := f.Redis
	const do = "Check redis.addrs, redis.mode, user, password and redis.tls, and whether Redis runs"
	for _, a := range r.Addresses {
		if a.Err != nil {
			n.add(Failure, "redis.reach", a.Address, do, "it takes no connection: %v", a.Err)
		}
	}
	if r.Err != nil {
		n.add(Failure, "redis.reach", "", do, "%v", r.Err)
		return
	}
	for i := range r.Nodes {
		node := &r.Nodes[i]
		if node.Err != nil {
			n.add(Failure, "redis.reach", node.Address, do, "it does not answer: %v", node.Err)
			continue
		}
		n.ok("redis.reach", node.Address, "it answers")
		n.redisRights(node, &f.Config)
		n.skew(node)
		if node.InfoErr != nil {
			for _, check := range []string{"redis.version", "redis.persistence", "redis.memory", "redis.replicas"} {
				n.add(Unknown, check, node.Address, "To have it told: ACL SETUSER <name> +info", "not allowed to see: %v", node.InfoErr)
			}
		} else {
			n.version(node)
			n.persistence(node)
			n.memory(node)
			n.replicas(node, f.Config.Redis.Mode)
		}
		n.eviction(node)
		n.packing(node)
	}
	n.others(f)
}

// integer reads a number of INFO, 0 if there is none.
func (n *Node) integer(name string) int64 {
	v, _ := strconv.ParseInt(n.Info[name], 10, 64)
	return v
}

func (n *findings) version(node *Node) {
	version := node.Info["redis_version"]
	major, _, _ := strings.Cut(version, ".")
	number, err := strconv.Atoi(major)
	if err != nil {
		n.add(Unknown, "redis.version", node.Address, "", "it does not tell its version")
		return
	}
	n.unless(number < 7, Failure, "redis.version", node.Address, "Use Redis 7 or later", "%s", version)
}

func (n *findings) eviction(node *Node) {
	policy := cmp.Or(node.Settings.Values["maxmemory-policy"], node.Info["maxmemory_policy"])
	if policy == "" {
		n.add(Failure, "redis.eviction", node.Address, "Allow the Redis user one of them: ACL SETUSER <name> +config|get +info",
			"neither CONFIG GET nor INFO memory tells maxmemory-policy; nudged does not start without knowing it")
		return
	}
	n.unless(policy != "noeviction", Failure, "redis.eviction", node.Address,
		"Set it with `CONFIG SET maxmemory-policy noeviction`, and in redis.conf, so that it is still set after a restart", "maxmemory-policy is %s", policy)
}

func (n *findings) persistence(node *Node) {
	info, s := node.Info, &node.Settings
	const saves = "Look into Redis' log, and at the space left on the disk of its dir"
	if info["loading"] == "1" {
		n.add(Warning, "redis.persistence", node.Address, "Wait until it is done", "it is reading its data from disk")
	}
	snapshots := s.Values["save"]
	failed := info["rdb_last_bgsave_status"] != "" && info["rdb_last_bgsave_status"] != "ok"
	switch {
	case info["aof_enabled"] != "1" && s.Err == nil && snapshots == "":
		n.add(Warning, "redis.persistence", node.Address, "CONFIG SET appendonly yes, and in redis.conf",
			"AOF is off and nothing is saved: after a restart everything is rebuilt from the topics, as far as they reach back")
	case info["aof_enabled"] != "1":
		n.add(Warning, "redis.persistence", node.Address, "CONFIG SET appendonly yes, and in redis.conf",
			"AOF is off: after a crash it falls back to the last snapshot (of %s), and what came since is replayed", lastSave(node))
	case info["aof_last_write_status"] != "ok":
		n.add(Failure, "redis.persistence", node.Address, saves, "aof_last_write_status is %s: it refuses writes", info["aof_last_write_status"])
	case info["aof_last_bgrewrite_status"] != "ok":
		n.add(Warning, "redis.persistence", node.Address, saves, "aof_last_bgrewrite_status is %s: the file grows", info["aof_last_bgrewrite_status"])
	case s.Values["appendfsync"] == "no":
		n.add(Warning, "redis.persistence", node.Address, "CONFIG SET appendfsync everysec, and in redis.conf", "AOF is on, appendfsync is no: a crash of the machine may lose half a minute")
	case s.Values["appendfsync"] == "":
		n.add(Unknown, "redis.persistence", node.Address, "To have it told: ACL SETUSER <name> +config|get", "AOF is on and its last write was fine; not allowed to see appendfsync")
	default:
		n.ok("redis.persistence", node.Address, "AOF is on, appendfsync is %s, its last write was fine", s.Values["appendfsync"])
	}
	if failed {
		status := Failure // stop-writes-on-bgsave-error
		if s.Err == nil && snapshots == "" {
			status = Warning
		}
		n.add(status, "redis.persistence", node.Address, saves, "the last snapshot failed (rdb_last_bgsave_status %s): Redis refuses writes while snapshots are asked for", info["rdb_last_bgsave_status"])
	}
}

func lastSave(node *Node) string {
	return time.Unix(node.integer("rdb_last_save_time"), 0).UTC().Format(time.RFC3339)
}

func (n *findings) memory(node *Node) {
	used, most, what := node.integer("used_memory"), node.integer("maxmemory"), "maxmemory"
	if most == 0 {
		most, what = node.integer("total_system_memory"), "memory of its machine, no maxmemory is set"
	}
	if most <= 0 {
		n.add(Unknown, "redis.memory", node.Address, "", "%s used, of how much it does not tell", mebibytes(used))
		return
	}
	share := float64(used) / float64(most)
	found := fmt.Sprintf("%s used, %.0f %% of %s (%s)", mebibytes(used), 100*share, mebibytes(most), what)
	const do = "Give it more memory: raise maxmemory (CONFIG SET maxmemory, and in redis.conf)"
	switch {
	case share >= 1:
		n.add(Failure, "redis.memory", node.Address, do, "%s: writes are refused", found)
	default:
		n.unless(share > 0.85, Warning, "redis.memory", node.Address, do, "%s", found)
	}
}

func mebibytes(bytes int64) string {
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

func (n *findings) replicas(node *Node, mode string) {
	role, have := node.Info["role"], node.integer("connected_slaves")
	least := int64(0)
	if v, told := node.Settings.number("min-replicas-to-write"); told {
		least = v
	}
	good := have
	if text, told := node.Info["min_slaves_good_slaves"]; told {
		good, _ = strconv.ParseInt(text, 10, 64)
	}
	switch {
	case role != "master":
		n.add(Failure, "redis.replicas", node.Address, "Give the address of the master, or of Sentinel with the master's name", "it is a replica, which takes no writes")
	case least > good:
		n.add(Failure, "redis.replicas", node.Address, "Bring back replicas, or lower min-replicas-to-write", "min-replicas-to-write is %d, %d replicas are good: writes are refused", least, good)
	case have == 0 && mode != "single":
		n.add(Warning, "redis.replicas", node.Address, "Give it a replica", "it has no replica: nothing can take over")
	default:
		n.ok("redis.replicas", node.Address, "it is a master with %d replicas, min-replicas-to-write is %d", have, least)
	}
}

// shown are commands that only show something: nudged runs without them.
var shown = []string{"llen"}

func (n *findings) redisRights(node *Node, c *config.Config) {
	if node.DeniedErr != nil {
		n.add(Unknown, "redis.rights", node.Address, "", "it could not be tried: %v", node.DeniedErr)
		return
	}
	var lacks, lesser []string
	why := ""
	for _, d := range node.Denied {
		switch {
		case slices.Contains(shown, d.Command),
			// One of the two is enough.
			d.Command == "info" && node.Settings.Err == nil, d.Command == "config|get" && node.InfoErr == nil:
			lesser = append(lesser, d.Command)
		default:
			lacks = append(lacks, d.Command)
			why = d.Err.Error()
		}
	}
	name := cmp.Or(c.Redis.Username, "default")
	switch {
	case len(lacks) > 0:
		n.add(Failure, "redis.rights", node.Address, fmt.Sprintf("Give the user what it lacks: ACL SETUSER %s ~nudged:{*}:* +%s (deploy/redis/users.acl has all)", name, strings.Join(lacks, " +")),
			"the user %s may not run %s: %s", name, strings.Join(lacks, ", "), why)
	case len(lesser) > 0:
		n.add(Warning, "redis.rights", node.Address, fmt.Sprintf("ACL SETUSER %s +%s", name, strings.Join(lesser, " +")),
			"all that nudged cannot do without is allowed; not %s, for what it shows", strings.Join(lesser, ", "))
	default:
		n.ok("redis.rights", node.Address, "the user %s may run all commands that nudged needs, on its keys", name)
	}
}

func (n *findings) packing(node *Node) {
	const name = "hash-max-listpack-value"
	bytes, told := node.Settings.number(name)
	if !told {
		n.add(Unknown, "redis.packing", node.Address, "To have it told: ACL SETUSER <name> +config|get", "not allowed to see %s", name)
		return
	}
	n.unless(bytes < 512, Warning, "redis.packing", node.Address, "CONFIG SET "+name+" 512, and in redis.conf", "%s is %d", name, bytes)
}

func (n *findings) skew(node *Node) {
	if node.SkewErr != nil {
		n.add(Unknown, "clock.redis", node.Address, "To have it told: ACL SETUSER <name> +time", "not allowed to see: %v", node.SkewErr)
		return
	}
	n.unless(node.Skew.Abs() > clockBlur+node.Blur, Warning, "clock.redis", node.Address, "Set the clocks of both machines by NTP",
		"its clock is %v from this machine's, give or take %v", node.Skew.Round(time.Millisecond), node.Blur.Round(time.Millisecond))
}

// others tells what else lies in Redis.
func (n *findings) others(f *Facts) {
	r, c := f.Redis, &f.Config
	if r.ScanErr != nil {
		n.add(Unknown, "redis.others", "", "To have it told: ACL SETUSER <name> +scan", "not allowed to see: %v", r.ScanErr)
		return
	}
	groups := map[string][]string{} // inputs by group
	ours := false
	var strays []string
	for _, s := range r.Stored {
		if s.Group != c.Kafka.Group {
			if !slices.Contains(groups[s.Group], s.Input.Topic) {
				groups[s.Group] = append(groups[s.Group], s.Input.Topic)
			}
			continue
		}
		ours = true
		if f.Kafka == nil || f.Kafka.Err != nil {
			continue
		}
		t, configured := f.Kafka.Topics[s.Input.Topic]
		if !configured || !slices.Contains(c.Kafka.Topics.Events, s.Input.Topic) || t.Err == nil && int(s.Input.Partition) >= t.Partitions {
			strays = append(strays, s.Input.String())
		}
	}
	slices.Sort(strays)
	if len(strays) > 0 {
		n.add(Warning, "redis.others", c.Kafka.Group, "Name the topic in kafka.topics.events again; or, if it is not needed any more, remove the keys that begin with nudged:{"+c.Kafka.Group+":<topic>:<partition>}:",
			"it has a state of partitions that the configured topics do not have: %s", short(strays))
	}
	rest := ""
	if r.ScanCut {
		rest = "; not all keys were looked at, there are too many"
	}
	for _, g := range sorted(groups) {
		same := slices.ContainsFunc(groups[g], func(t string) bool { return slices.Contains(c.Kafka.Topics.Events, t) })
		n.unless(same && !ours, Warning, "redis.others", g, "If it was renamed, use the former name in kafka.group; else nothing",
			"this group, too, has a state here, of %s; %s has %s%s", strings.Join(groups[g], ", "), c.Kafka.Group, map[bool]string{true: "one, too", false: "none"}[ours], rest)
	}
	if len(groups) == 0 && len(strays) == 0 {
		n.ok("redis.others", "", "no other group has a state here%s", rest)
	}
}
