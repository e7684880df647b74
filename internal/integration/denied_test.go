package integration

import (
	"encoding/json"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// A Redis user that may not SCAN cannot empty a partition, which the first claim
// of it does, and the one after Redis was emptied. However often it is tried, the
// reason that is given is the command and the right; once that is given the
// partition goes on by itself, and nothing is sent twice.
func TestRedisUserWithoutScan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, nil)
	w.redisAddr = ownRedis(t, "noeviction")
	admin := goredis.NewClient(&goredis.Options{Addr: w.redisAddr})
	defer admin.Close()
	rights := func(args ...any) {
		t.Helper()
		if err := admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "limited"}, args...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	rights("on", ">secret", "~nudged:*", "+@all", "-scan")
	w.put(signups("early", 5)...)
	d := startWith(t, []string{"NUDGED_REDIS_USERNAME=limited", "NUDGED_REDIS_PASSWORD=secret"}, "--config", w.config("testdata/rules.yaml", "event"))
	for _, when := range []string{"the first claim", "Redis was emptied"} {
		before := len(d.recoveries())
		if when == "Redis was emptied" {
			rights("-scan")
			if err := admin.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		refused := func() int {
			n := 0
			for _, reason := range d.recoveries()[before:] {
				if strings.Contains(reason, "'scan' command") && strings.Contains(reason, "ACL SETUSER") {
					n++
				}
			}
			return n
		}
		eventually(t, "refused three times at "+when, func() bool { return refused() >= 3 })
		// The loss itself is noticed once.
		if got := d.recoveries()[before:]; len(got) > refused()+1 {
			t.Errorf("at %s the reasons were %q", when, got)
		}
		_, states := d.status()
		if len(states) != 1 || states[0].Ready || states[0].Stopped != "" || !strings.Contains(states[0].Trouble, "'scan' command") {
			t.Errorf("at %s /readyz says %+v", when, states)
		}
		rights("+scan")
		d.untilReady(1)
		w.untilConsumed()
	}
	d.terminate()
	if n := len(w.committed(w.sends)); n != 5 {
		t.Errorf("%d sends, want 5", n)
	}
}

// recoveries are the reasons for which partitions were claimed anew.
func (d *daemon) recoveries() []string {
	var reasons []string
	for line := range strings.Lines(d.said()) {
		var entry struct{ Msg, Reason string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "partition is recovered" {
			reasons = append(reasons, entry.Reason)
		}
	}
	return reasons
}
