package integration

import (
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// A Redis that may evict states is refused, with the way out; once it has been
// told otherwise the daemon runs.
func TestRefusesRedisThatEvicts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.redisAddr = ownRedis(t, "allkeys-lru")
	e := nudged(t, nil, "run", "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
	e.requireSays(t, 1, "redis "+w.redisAddr, "maxmemory-policy is allkeys-lru", "CONFIG SET maxmemory-policy noeviction")
	if n := len(w.committed(w.decisions)); n > 0 {
		t.Errorf("%d decisions were made all the same", n)
	}

	client := goredis.NewClient(&goredis.Options{Addr: w.redisAddr})
	defer client.Close()
	if err := client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err(); err != nil {
		t.Fatal(err)
	}
	e = nudged(t, nil, "run", "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
	e.requireSays(t, 0)
}

// Topics that are missing are named, all at once, each with how to create it.
func TestNamesMissingTopics(t *testing.T) {
	t.Parallel()
	w := connect(t)
	w.events, w.sends, w.decisions, w.dead = w.group+"-e", w.group+"-s", w.group+"-d", w.group+"-l"
	w.create(w.sends, 1, nil)
	e := nudged(t, nil, "run", "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
	var says []string
	for _, topic := range []string{w.events, w.decisions, w.dead} {
		says = append(says, fmt.Sprintf("topic %q cannot be used", topic), "--create --topic "+topic+" ")
	}
	e.requireSays(t, 1, says...)
	if strings.Contains(e.stderr, w.sends) {
		t.Errorf("a topic that is there is complained of: %s", e.stderr)
	}
}
