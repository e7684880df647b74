package processor

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMarkRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		big := rapid.Int64Range(0, math.MaxInt64)
		m := Mark{
			// Configurations refuse groups with ; { } or line ends.
			Group:    rapid.StringMatching(`[^;{}\n]{1,20}`).Draw(t, "group"),
			Input:    TopicPartition{rapid.StringMatching(`[a-zA-Z0-9._-]{1,20}`).Draw(t, "topic"), rapid.Int32Range(0, math.MaxInt32).Draw(t, "partition")},
			Epoch:    big.Draw(t, "epoch"),
			Seq:      big.Draw(t, "seq"),
			Previous: big.Draw(t, "previous"),
			Cause:    rapid.SampledFrom([]Cause{ByEvent, ByTimer}).Draw(t, "cause"),
			Position: big.Draw(t, "position"),
			Clock:    rapid.Int64().Draw(t, "clock"),
		}
		m.Count = rapid.IntRange(1, math.MaxInt).Draw(t, "count")
		m.Index = rapid.IntRange(0, m.Count-1).Draw(t, "index")
		text := string(m.Append([]byte("before")))
		got, err := ParseMark(strings.TrimPrefix(text, "before"))
		if err != nil || got != m {
			t.Fatalf("%q: got %+v, %v, want %+v", text, got, err, m)
		}
	})
}

const validMark = "n1;g=shop;t=clicks/3;e=7;s=5;i=0/2;q=4;k=t;o=12;c=-9"

func TestParseMarkRefuses(t *testing.T) {
	if _, err := ParseMark(validMark); err != nil {
		t.Fatalf("the template itself: %v", err)
	}
	for name, change := range map[string][2]string{
		"other version":               {"n1;", "n2;"},
		"no version":                  {"n1;", ""},
		"topic alone":                 {"t=clicks/3", "t=clicks"},
		"partition of letters":        {"t=clicks/3", "t=clicks/three"},
		"partition of 64 bits":        {"t=clicks/3", "t=clicks/4294967296"},
		"negative partition":          {"t=clicks/3", "t=clicks/-3"},
		"negative epoch":              {"e=7", "e=-7"},
		"seq of letters":              {"s=5", "s=five"},
		"no count":                    {"i=0/2", "i=0"},
		"negative index":              {"i=0/2", "i=-1/2"},
		"index beyond count":          {"i=0/2", "i=2/2"},
		"negative previous":           {"q=4", "q=-4"},
		"unknown cause":               {"k=t", "k=x"},
		"no cause":                    {"k=t", "k="},
		"negative position":           {"o=12", "o=-12"},
		"clock of letters":            {"c=-9", "c=noon"},
		"a field in place of another": {"q=4", "s=4"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(validMark, change[0], change[1], 1)
			if text == validMark {
				t.Fatal("the case changes nothing")
			}
			if m, err := ParseMark(text); err == nil {
				t.Errorf("%q is read as %+v", text, m)
			}
		})
	}
	for field := range strings.SplitSeq(strings.TrimPrefix(validMark, "n1;"), ";") {
		text := strings.Replace(validMark, ";"+field, "", 1)
		if m, err := ParseMark(text); err == nil {
			t.Errorf("%q lacks %q and is read as %+v", text, field, m)
		}
	}
	if m, err := ParseMark(validMark + ";z=1"); err != nil || m.Clock != -9 {
		t.Errorf("a field of a later version: %+v, %v; want it passed over", m, err)
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add("")
	f.Add("n1;")
	f.Add(validMark)
	f.Add(validMark + ";g=again")
	f.Add(validMark + ";z")
	f.Add("n1;g==;t=a/b/3;e=+7;s=05;i=0/2;q=4;k=e;o=12;c=-0")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMark(text)
		if err != nil {
			return
		}
		again, err := ParseMark(string(m.Append(nil)))
		if err != nil || again != m {
			t.Errorf("%q is read as %+v, which is read back as %+v, %v", text, m, again, err)
		}
	})
}
