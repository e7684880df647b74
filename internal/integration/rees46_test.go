package integration

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

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

	w.load(shopFile)()
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

// Where everything happens at the same few moments the edges of windows, waits
// and cooldowns are met to the second, which a real shop's events hardly do.
func TestBacktestAgreesWithOracleOnTies(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	rnd := rand.New(rand.NewPCG(3, 0))
	var csv bytes.Buffer
	csv.WriteString("event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n")
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	// Some users do much, most do little.
	for range 6000 {
		if rnd.IntN(10) == 0 {
			at = at.Add(5 * time.Minute)
		}
		kind := []string{"view", "view", "view", "view", "cart", "purchase"}[rnd.IntN(6)]
		category := []string{"", "shoes", "true", "7"}[rnd.IntN(4)]
		fmt.Fprintf(&csv, "%s,%s,%d,1,%s,b,%d.%02d,%d,s\n", at.Format("2006-01-02 15:04:05 MST"), kind, rnd.IntN(3),
			category, rnd.IntN(90), rnd.IntN(100), rnd.IntN(1+rnd.IntN(60)))
	}
	file := writeFile(t, "ties.csv", csv.String())
	want := expected(t, interpreter, file)
	t.Logf("the oracle: %s", want.byRule())
	got := outputOf(t, program, "backtest", "--rules", shopRules, "--map", shopMap, "--input", file,
		"--partitions", strconv.Itoa(shopPartitions), "--decisions", "-")
	requireSame(t, "backtest", fromLines(t, got), want)
}

// messages counts what records hold, to the byte.
func messages(recs []*kgo.Record) map[string]int {
	out := map[string]int{}
	for _, r := range recs {
		out[string(bytes.Join([][]byte{r.Key, r.Value}, []byte{0}))]++
	}
	return out
}
