package integration

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// processed makes a world with two partitions whose group has processed the
// events in them and stopped.
func processed(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, 2, nil)
	w.put(signups("early", 20)...)
	w.small().requireExit(0)
	if n := len(w.committed(w.sends)); n != 20 {
		t.Fatalf("%d sends, want 20", n)
	}
	return w
}

// signups makes an event of each of n users, each of which is a send.
func signups(name string, n int) []*kgo.Record {
	now := time.Now()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		user := fmt.Sprintf("%s-%d", name, i)
		recs[i] = event(user, "signup", user, now)
	}
	return recs
}

// small runs the small rules over what the input topic holds, to its end.
func (w *world) small() *daemon {
	return start(w.t, "--config", w.config("testdata/rules.yaml", "event"), "--stop-at-end")
}

// requireStopped runs the world again: it must end with an error that says all
// of it, having sent nothing more.
func (w *world) requireStopped(says ...string) {
	w.t.Helper()
	d := w.small()
	d.requireExit(1)
	d.requireSaid(says...)
	if n := len(w.committed(w.sends)); n != 20 {
		w.t.Errorf("%d sends, want the 20 of before", n)
	}
}

// commit moves the group's offset in partition 0 as another program would.
func (w *world) commit(offset int64, metadata string) {
	w.t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: w.events, Partition: 0, At: offset, LeaderEpoch: -1, Metadata: metadata})
	if err := w.adm.CommitAllOffsets(w.t.Context(), w.group, offsets); err != nil {
		w.t.Fatalf("commit an offset: %v", err)
	}
}

func (w *world) committedOffset(partition int32) (int64, string) {
	w.t.Helper()
	all, err := w.adm.FetchOffsets(w.t.Context(), w.group)
	if err != nil {
		w.t.Fatalf("fetch offsets: %v", err)
	}
	o, ok := all.Lookup(w.events, partition)
	if !ok {
		w.t.Fatalf("partition %d has no committed offset", partition)
	}
	return o.At, o.Metadata
}

// Somebody has reset the offset of one partition: that one stops and says so,
// the other goes on.
func TestResetOffsetStopsThePartition(t *testing.T) {
	t.Parallel()
	w := processed(t)
	at, _ := w.committedOffset(0)
	w.commit(at-1, "")
	stopped := fmt.Sprintf("partition %s/0 of group %q is stopped", w.events, w.group)
	w.requireStopped(stopped, fmt.Sprintf("committed offset %d was not written by nudged", at-1), "--on-offset-reset", "use another group name")

	d := start(t, "--config", w.config("testdata/rules.yaml", "event"))
	eventually(t, "one partition is stopped, the other ready", func() bool {
		code, states := d.status()
		down, up := 0, 0
		for _, s := range states {
			switch {
			case s.Stopped != "" && !s.Ready && s.Partition == w.events+"/0" && strings.Contains(s.Stopped, "was not written by nudged"):
				down++
			case s.Ready && s.Stopped == "" && s.Partition == w.events+"/1":
				up++
			}
		}
		return code == http.StatusServiceUnavailable && down == 1 && up == 1
	})
	// Of these some fall to the partition that goes on.
	w.put(signups("late", 10)...)
	ends, err := w.adm.ListEndOffsets(t.Context(), w.events)
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup(w.events, 1)
	eventually(t, "partition 1 goes on", func() bool {
		at, _ := w.committedOffset(1)
		return at == end.Offset
	})
	d.terminate()
	if again, metadata := w.committedOffset(0); again != at-1 || metadata != "" {
		t.Errorf("the stopped partition's offset is %d with metadata %q: it was touched", again, metadata)
	}
	for _, r := range w.committed(w.sends)[20:] {
		o, err := parse(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if o.partition != 1 {
			t.Errorf("sent from partition %d: %s", o.partition, r.Value)
		}
	}
}

// A reset that keeps the metadata, as some tools do, is noticed as well.
func TestMovedOffsetStopsThePartition(t *testing.T) {
	t.Parallel()
	w := processed(t)
	at, metadata := w.committedOffset(0)
	w.commit(at-1, metadata)
	w.requireStopped(fmt.Sprintf("partition %s/0 of group %q is stopped", w.events, w.group),
		fmt.Sprintf("the committed offset is %d, its metadata says %d: somebody has moved it", at-1, at),
		fmt.Sprintf("Set the group's offset back to %d", at))
	// The way out that it names is one.
	w.commit(at, metadata)
	w.small().requireExit(0)
}

func TestRenamedGroupStopsThePartitions(t *testing.T) {
	t.Parallel()
	w := processed(t)
	former := w.group
	w.group += "-renamed"
	w.t.Cleanup(w.emptyRedis)
	w.requireStopped(fmt.Sprintf("of group %q is stopped", w.group), "the group was renamed", "Use the former group name")
	w.group = former
	w.small().requireExit(0)
}
