package integration

import (
	"bytes"
	"maps"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A real shop's history through the real stack gives what the backtest of the
// same file gives, and what the oracle says, decision for decision. A second run
// by another group gives the same bytes.
func TestShopAgreesWithBacktestAndOracle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, shopPartitions, nil)
	want := expected(t, python(t), shopFile)
	t.Logf("the oracle: %s", want.byRule())

	backtest := outputOf(t, program, "backtest", "--rules", shopRules, "--map", shopMap, "--input", shopFile,
		"--partitions", strconv.Itoa(shopPartitions), "--decisions", "-")
	requireSame(t, "backtest", fromLines(t, backtest), want)

	w.produce(shopFile)
	w.replay().requireExit(0)
	w.requireOutcomes(want)

	again := newWorldOver(t, w.events)
	again.replay().requireExit(0)
	for _, topic := range []struct{ name, first, second string }{
		{"sends", w.sends, again.sends}, {"decisions", w.decisions, again.decisions},
	} {
		first, second := messages(w.committed(topic.first)), messages(again.committed(topic.second))
		if !maps.Equal(first, second) {
			t.Errorf("%s: two runs over the same events have given different messages", topic.name)
		}
	}
	again.requireOutcomes(want)
}

// messages counts what records hold, to the byte.
func messages(recs []*kgo.Record) map[string]int {
	out := map[string]int{}
	for _, r := range recs {
		out[string(bytes.Join([][]byte{r.Key, r.Value}, []byte{0}))]++
	}
	return out
}
