package integration

import (
	"encoding/json"
	"testing"
)

// What the daemon has decided, a backtest of the topic decides too, id for id;
// and of a user that was sent to, explain tells what was decided, from the topic
// and Redis as they are, without disturbing either.
func TestBacktestOfTheTopicAndExplain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	want := expected(t, python(t), shopFile)
	w.load(shopFile)()
	w.replay().requireExit(0)
	w.requireOutcomes(want)

	got := outputOf(t, program, "backtest", "--rules", shopRules, "--topic", w.events, "--brokers", w.brokers, "--decisions", "-")
	requireSame(t, "backtest of the topic", fromLines(t, got), want)

	ofUser := map[string]int{}
	for o, n := range want {
		ofUser[o.user] += n
	}
	busiest := ""
	for user, n := range ofUser {
		if n > ofUser[busiest] || n == ofUser[busiest] && user < busiest {
			busiest = user
		}
	}
	for _, user := range []string{busiest, "nobody"} {
		out := outputOf(t, program, "explain", "--config", w.config(shopRules, "event"), "--user", user, "--format", "json")
		var a struct {
			States []struct {
				Known   bool
				Pending []struct{ Rule, Due string }
			}
			Decisions []struct {
				User, Decision, Words string
				CommandID             string `json:"command_id"`
			}
		}
		if err := json.Unmarshal(out, &a); err != nil {
			t.Fatalf("%v in\n%s", err, out)
		}
		told := map[string]int{}
		for _, d := range a.Decisions {
			if d.User != user || d.Words == "" {
				t.Errorf("explain --user %s tells %+v", user, d)
			}
			told[d.Decision+d.CommandID]++
		}
		for o, n := range want {
			if o.user == user && told[o.decision+o.commandID] != n {
				t.Errorf("explain --user %s tells of %s %s %d times, want %d", user, o.decision, o.commandID, told[o.decision+o.commandID], n)
			}
		}
		if len(a.Decisions) != ofUser[user] || len(a.States) != 1 || a.States[0].Known != (user == busiest) {
			t.Errorf("explain --user %s: %d decisions, want %d; states %+v", user, len(a.Decisions), ofUser[user], a.States)
		}
	}
	w.requireOutcomes(want) // nothing was added
}
