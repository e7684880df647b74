package integration

import (
	"slices"
	"strings"
	"testing"

	chaos "github.com/nudged/nudged/internal/chaos/services"
)

// A Redis that takes its time slows fetching and nothing else: the process stays in
// the group, nothing is claimed anew, nothing is lost or repeated.
func TestSlowRedisSlowsFetchingAlone(t *testing.T) {
	t.Parallel()
	topic, want := bigShop(t)
	w := newWorldOver(t, topic)
	proxies := chaos.NewProxies()
	t.Cleanup(proxies.Stop)
	slow, err := proxies.Add("redis", 0, w.redisAddr)
	if err != nil {
		t.Fatal(err)
	}
	if err := slow.Delay(250, 200); err != nil {
		t.Fatal(err)
	}
	w.redisAddr = slow.Address()
	d := start(t, "--config", w.config(shopRules, "event", smallCache))
	d.untilReady(shopPartitions)
	before := w.members()
	w.untilConsumed()
	if after := w.members(); len(before) != 1 || !slices.Equal(before, after) {
		t.Errorf("the group had members %v, and has %v", before, after)
	}
	d.terminate()
	w.requireOutcomes(want)
	if said := d.said(); strings.Contains(said, "recovered") || strings.Contains(said, "a call is repeated") {
		t.Error("a partition was claimed anew, or a call has failed")
	}
}

// members lists the ids of the group's members.
func (w *world) members() (ids []string) {
	w.t.Helper()
	groups, err := w.adm.DescribeGroups(w.t.Context(), w.group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		w.t.Fatalf("describe group %s: %v", w.group, err)
	}
	for _, m := range groups[w.group].Members {
		ids = append(ids, m.MemberID)
	}
	slices.Sort(ids)
	return ids
}
