package processor

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// drawHistory draws an epoch list of n entries. The numbers are as large as they
// come: epochs are readings of the wall clock in ms.
func drawHistory(t *rapid.T, n int) History {
	var h History
	epoch, first := int64(0), int64(0)
	for range n {
		epoch += rapid.Int64Range(1, 1<<41).Draw(t, "epoch step")
		first += rapid.Int64Range(1, 1<<40).Draw(t, "first step")
		h = append(h, EpochStart{epoch, first})
	}
	return h
}

func drawPosition(t *rapid.T) Position {
	big := rapid.Int64Range(0, math.MaxInt64)
	count := rapid.Int32Range(0, math.MaxInt32)
	return Position{
		TopicID: rapid.StringMatching(`[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{8}`).Draw(t, "topic id"),
		Offset:  big.Draw(t, "offset"),
		Base:    big.Draw(t, "base"),
		Epoch:   big.Draw(t, "epoch"),
		Claimer: rapid.StringMatching(`[0-9a-f]{8}`).Draw(t, "claimer"),
		Seq:     big.Draw(t, "seq"),
		History: drawHistory(t, rapid.IntRange(0, maxHistory).Draw(t, "entries")),
		Last:    big.Draw(t, "last"),
		Clock:   rapid.Int64().Draw(t, "clock"),
		Counts:  Counts{count.Draw(t, "input"), count.Draw(t, "sends"), count.Draw(t, "decisions")},
	}
}

func TestPositionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPosition(t)
		text := p.Metadata()
		if len(text) > maxMetadata {
			t.Fatalf("%d bytes, at most %d are to be written", len(text), maxMetadata)
		}
		got, err := ParsePosition(text)
		if err != nil {
			t.Fatal(err)
		}
		// What does not fit loses the oldest entries and nothing else.
		kept := len(got.History)
		if kept > len(p.History) || kept == 0 && len(p.History) > 0 {
			t.Fatalf("%d of %d entries came back", kept, len(p.History))
		}
		if full := p.metadataBytes(); full <= maxMetadata && kept != len(p.History) {
			t.Fatalf("entries were dropped though all fit in %d bytes", full)
		}
		p.History = p.History[len(p.History)-kept:]
		if kept == 0 {
			p.History = nil
		}
		if !reflect.DeepEqual(got, p) {
			t.Fatalf("got  %+v\nwant %+v", got, p)
		}
	})
}

// metadataBytes is the length of the metadata if no entry of the history were
// left out.
func (p Position) metadataBytes() int {
	history := p.History.String()
	p.History = nil
	return len(p.Metadata()) + len(history)
}

// What a busy year brings: 64 epochs, each a reading of the clock.
func TestMetadataOf64EpochsIsComplete(t *testing.T) {
	p := Position{
		TopicID: "Zm9vYmFyYmF6cXV4Zm9vYg.abcdefgh", Offset: 1 << 50, Base: 1 << 50, Epoch: 1_900_000_000_000,
		Claimer: "0123abcd", Seq: 1 << 50, Last: 1 << 50, Clock: 1_900_000_000_000, Counts: Counts{10_000, 10_000, 10_000},
	}
	for i := range int64(1000) {
		p.History = p.History.With(1_800_000_000_000+i, 1<<49+i*1000)
	}
	if len(p.History) != maxHistory {
		t.Fatalf("the history holds %d entries, want %d", len(p.History), maxHistory)
	}
	text := p.Metadata()
	if len(text) >= 3500 {
		t.Errorf("%d bytes, want less than 3,500", len(text))
	}
	got, err := ParsePosition(text)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, p) {
		t.Errorf("got  %+v\nwant %+v", got, p)
	}
}

// The newest change of the number of partitions replaces itself while it is under way;
// of older ones the newest four are kept.
func TestRecountsAreReadBack(t *testing.T) {
	p := Position{TopicID: "id.cluster", Claimer: "ab", Counts: Counts{9, 2, 3}}
	for before := int32(3); before < 9; before++ {
		for until := range int64(2) {
			p.Recounts = p.WithRecount(Recount{Before: before, From: 7, Until: 8 + until})
		}
	}
	want := []Recount{{5, 7, 9}, {6, 7, 9}, {7, 7, 9}, {8, 7, 9}}
	got, err := ParsePosition(p.Metadata())
	if err != nil || !reflect.DeepEqual(got.Recounts, want) {
		t.Errorf("%v, %v, want %v", got.Recounts, err, want)
	}
	if !got.Rescaled() {
		t.Error("users have been moved")
	}
	if got.Counts.Input = 8; got.Rescaled() {
		t.Error("users have not been moved yet")
	}
}

func TestParsePositionRefuses(t *testing.T) {
	valid := Position{
		TopicID: "id.cluster", Offset: 5, Base: 1, Epoch: 9, Claimer: "ab", Seq: 3,
		History: History{{7, 1}, {9, 3}}, Last: 2, Clock: -4, Counts: Counts{1, 2, 3},
	}.Metadata()
	if _, err := ParsePosition(valid); err != nil {
		t.Fatalf("the template itself: %v", err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"empty":             {"", "not written by nudged"},
		"other program":     {"consumer-1-a7f", "not written by nudged"},
		"other version":     {strings.Replace(valid, "n1;", "n2;", 1), "not written by nudged"},
		"no key":            {valid + ";loose", "key=value"},
		"twice":             {valid + ";o=5", "each key once"},
		"negative offset":   {strings.Replace(valid, "o=5", "o=-5", 1), "field o"},
		"not a number":      {strings.Replace(valid, "s=3", "s=three", 1), "field s"},
		"beyond 64 bits":    {strings.Replace(valid, "e=9", "e=9223372036854775808", 1), "field e"},
		"recount half":      {valid + ";r=3:4", "field r"},
		"recount backwards": {valid + ";r=3:9-8", "field r"},
		"recount of none":   {valid + ";r=0:8-9", "field r"},
		"recounts too many": {valid + ";r=1:0-0,2:0-0,3:0-0,4:0-0,5:0-0", "at most 4"},
		"two counts":        {strings.Replace(valid, "n=1,2,3", "n=1,2", 1), "three partition counts"},
		"negative count":    {strings.Replace(valid, "n=1,2,3", "n=1,-2,3", 1), "three partition counts"},
		"history backwards": {strings.Replace(valid, "h=7:1,9:3", "h=9:1,7:3", 1), "not ascending"},
		"history repeats":   {strings.Replace(valid, "h=7:1,9:3", "h=7:1,9:1", 1), "not ascending"},
		"history half":      {strings.Replace(valid, "h=7:1,9:3", "h=7:1,9", 1), "expected epoch:seq"},
		"history from 0":    {strings.Replace(valid, "h=7:1,9:3", "h=7:0,9:3", 1), "expected epoch:seq"},
		"history too long":  {strings.Replace(valid, "h=7:1,9:3", "h="+strings.Repeat("1:1,", maxHistory)+"1:1", 1), "at most 64"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePosition(c.text)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: error %v, want one that says %q", c.text, err, c.says)
			}
			if foreign := strings.Contains(c.says, "not written"); errors.Is(err, ErrForeignMetadata) != foreign {
				t.Errorf("%q: is ErrForeignMetadata: %v, want %v", c.text, !foreign, foreign)
			}
		})
	}
	for _, key := range []string{"t", "o", "b", "e", "w", "s", "h", "l", "c", "n"} {
		// Under another name it is a field of a later version.
		_, err := ParsePosition(strings.Replace(valid, ";"+key+"=", ";x"+key+"=", 1))
		if err == nil || !strings.Contains(err.Error(), "lacks the field "+key) {
			t.Errorf("without %s: %v", key, err)
		}
	}
	got, err := ParsePosition(valid + ";later=1")
	if err != nil || got.Offset != 5 {
		t.Errorf("a key of a later version: %+v, %v; want it passed over", got, err)
	}
}

func FuzzParsePosition(f *testing.F) {
	f.Add("")
	f.Add("n1;")
	f.Add("n1;t=a.b;o=1;b=0;e=2;w=c;s=3;h=1:1,2:3;l=2;c=-5;n=1,2,3")
	f.Add("n1;t=a.b;o=1;b=0;e=2;w=c;s=3;h=1:1,2:3;l=2;c=-5;n=4,2,3;r=2:5-9,3:20-20")
	f.Add("n1;t==;o=+1;b=00;e=2;w=;s=3;h=;l=2;c=-0;n=1,+2,03;z=1;z2=")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParsePosition(text)
		if err != nil || len(text) > maxMetadata-400 {
			return // what is longer may lose entries of its history
		}
		again, err := ParsePosition(p.Metadata())
		if err != nil || !reflect.DeepEqual(again, p) {
			t.Errorf("%q is read as %+v, which is written as %q and read as %+v, %v", text, p, p.Metadata(), again, err)
		}
	})
}

func FuzzParseHistory(f *testing.F) {
	f.Add("")
	f.Add("1:1")
	f.Add("1:1,2:5,9223372036854775807:9223372036854775807")
	f.Add("+1:01,2:5")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHistory(text)
		if err != nil {
			return
		}
		again, err := ParseHistory(h.String())
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("%q is read as %v, which is read back as %v, %v", text, h, again, err)
		}
		for i := 1; i < len(h); i++ {
			if h[i-1].Epoch >= h[i].Epoch || h[i-1].First >= h[i].First {
				t.Errorf("%q is read as %v, which does not ascend", text, h)
			}
		}
	})
}
