package integration

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outcome is all that a send or a decision must agree in, whoever tells it.
type outcome struct {
	decision, commandID, rule, user, instance, experiment, arm string

	triggerID, triggerType, triggerTime string
	partition                           int32
	offset                              int64

	due, fired string
	data       string
}

// outcomes counts them: a second one of a kind is one too many.
type outcomes map[outcome]int

// parse reads a send command, a decision or a line of the oracle.
func parse(text []byte) (outcome, error) {
	var m struct {
		CommandID string `json:"command_id"`
		Decision  string
		Rule      string
		User      string
		Instance  string

		Experiment, Arm string

		Data    map[string]any
		Trigger struct {
			ID, Type, Time string
			Partition      int32
			Offset         int64
		}
		Due, Fired string
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return outcome{}, fmt.Errorf("%s: %w", text, err)
	}
	if m.Decision == "" {
		m.Decision = "sent" // a command
	}
	data := ""
	if len(m.Data) > 0 {
		sorted, err := json.Marshal(m.Data)
		if err != nil {
			return outcome{}, err
		}
		data = string(sorted)
	}
	return outcome{
		decision: m.Decision, commandID: m.CommandID, rule: m.Rule, user: m.User, instance: m.Instance,
		experiment: m.Experiment, arm: m.Arm,
		triggerID: m.Trigger.ID, triggerType: m.Trigger.Type, triggerTime: m.Trigger.Time,
		partition: m.Trigger.Partition, offset: m.Trigger.Offset,
		due: m.Due, fired: m.Fired, data: data,
	}, nil
}

// fromRecords reads what a topic holds.
func fromRecords(t *testing.T, recs []*kgo.Record) outcomes {
	t.Helper()
	out := outcomes{}
	for _, r := range recs {
		o, err := parse(r.Value)
		if err != nil {
			t.Fatalf("%s/%d, offset %d: %v", r.Topic, r.Partition, r.Offset, err)
		}
		if string(r.Key) != o.user {
			t.Errorf("%s/%d, offset %d: the key is %q, the user %q", r.Topic, r.Partition, r.Offset, r.Key, o.user)
		}
		out[o]++
	}
	return out
}

// fromLines reads JSON lines.
func fromLines(t *testing.T, text []byte) outcomes {
	t.Helper()
	out := outcomes{}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		o, err := parse(lines.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		out[o]++
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// sent are those that a command goes out for.
func (all outcomes) sent() outcomes {
	out := outcomes{}
	for o, n := range all {
		if o.decision == "sent" {
			out[o] = n
		}
	}
	return out
}

func (all outcomes) total() int {
	total := 0
	for _, n := range all {
		total += n
	}
	return total
}

// byRule counts what was decided, for people.
func (all outcomes) byRule() string {
	counts := map[string]int{}
	for o, n := range all {
		counts[o.rule+" "+o.decision] += n
	}
	text := ""
	for _, k := range slices.Sorted(maps.Keys(counts)) {
		text += fmt.Sprintf("%s: %d  ", k, counts[k])
	}
	return text
}

// requireSame fails unless both hold the same, each as often.
func requireSame(t *testing.T, what string, got, want outcomes) {
	t.Helper()
	if want.total() == 0 {
		t.Fatalf("%s: nothing is expected, which proves nothing", what)
	}
	complain := func(how string, a, b outcomes) {
		n := 0
		for o, count := range a {
			more := count - b[o]
			if more <= 0 {
				continue
			}
			if n++; n <= 3 {
				t.Errorf("%s, %s, %d times: %+v", what, how, more, o)
			}
		}
		if n > 3 {
			t.Errorf("%s, %s: %d in all", what, how, n)
		}
	}
	complain("missing", want, got)
	complain("not expected", got, want)
	if t.Failed() {
		t.Logf("got  %s\nwant %s", got.byRule(), want.byRule())
	}
}

// requireOutcomes compares what the world's topics hold with all that is
// expected.
func (w *world) requireOutcomes(want outcomes) {
	w.t.Helper()
	requireSame(w.t, "decisions", fromRecords(w.t, w.committed(w.decisions)), want)
	requireSame(w.t, "sends", fromRecords(w.t, w.committed(w.sends)), want.sent())
	if dead := w.committed(w.dead); len(dead) > 0 {
		w.t.Errorf("%d dead letters, the first one: %s", len(dead), dead[0].Value)
	}
}

// expected asks the oracle.
func expected(t *testing.T, interpreter, file string) outcomes {
	t.Helper()
	return fromLines(t, outputOf(t, interpreter, shopOracle, file, "--partitions", strconv.Itoa(shopPartitions)))
}

// manyShops writes a file with the shop's events n times over: each row as many
// users do it at the same time.
func manyShops(t *testing.T, n int) string {
	t.Helper()
	in, err := os.Open(shopFile)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	plain, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(plain)
	path := filepath.Join(scratch, fmt.Sprintf("shops-%d.csv", n))
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := csv.NewWriter(out)
	head, err := rows.Read()
	if err != nil {
		t.Fatal(err)
	}
	user := slices.Index(head, "user_id")
	write := func(row []string) {
		if err := w.Write(row); err != nil {
			t.Fatal(err)
		}
	}
	write(head)
	for {
		row, err := rows.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		id := row[user]
		for i := range n {
			row[user] = fmt.Sprintf("%d%s", i+1, id)
			write(row)
		}
	}
	if w.Flush(); w.Error() != nil {
		t.Fatal(w.Error())
	}
	return path
}
