package registry

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/nudged/nudged/internal/input"
)

// stand is a registry in this process, and a client of it whose clock the test
// moves.
type stand struct {
	fake *srfake.Registry
	*Registry
	now time.Time
}

func newStand(t testing.TB, c input.Registry, opts ...srfake.Option) *stand {
	t.Helper()
	s := &stand{fake: srfake.New(opts...), now: time.Unix(1767225600, 0)}
	t.Cleanup(s.fake.Close)
	c.URLs = []string{s.fake.URL()}
	var err error
	if s.Registry, err = New(c, func() time.Time { return s.now }); err != nil {
		t.Fatal(err)
	}
	return s
}

// register adds a schema and returns its id.
func (s *stand) register(t testing.TB, subject string, schema sr.Schema) int {
	t.Helper()
	id, _, err := s.fake.RegisterSchema(subject, schema)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wire puts a message into Confluent's wire format.
func wire(t testing.TB, id int, index []int, message []byte) []byte {
	t.Helper()
	head, err := new(sr.ConfluentHeader).AppendEncode(nil, id, index)
	if err != nil {
		t.Fatal(err)
	}
	return append(head, message...)
}

func (s *stand) requireJSON(t *testing.T, value []byte, wantName, want string) {
	t.Helper()
	got, name, err := s.AppendJSON(t.Context(), []byte("before "), value)
	if err != nil {
		t.Fatal(err)
	}
	if name != wantName || string(got) != "before "+want {
		t.Errorf("%s\n got %s\nwant before %s", name, got, want)
	}
}

func (s *stand) requireRefused(t *testing.T, value []byte, part string) {
	t.Helper()
	got, _, err := s.AppendJSON(t.Context(), []byte("before"), value)
	var away Unavailable
	if err == nil || errors.As(err, &away) || !strings.Contains(err.Error(), part) {
		t.Errorf("error %v, want a lasting one with %q", err, part)
	}
	if string(got) != "before" {
		t.Errorf("what was there before is now %q", got)
	}
}

const addressAvro = `{"type":"record","name":"Address","namespace":"shop","fields":[{"name":"city","type":"string"}]}`

const cartAvro = `{"type":"record","name":"CartAdded","namespace":"shop","fields":[
	{"name":"user","type":"string"},
	{"name":"time","type":{"type":"long","logicalType":"timestamp-millis"}},
	{"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
	{"name":"count","type":"int"},
	{"name":"weight","type":"float"},
	{"name":"coupon","type":["null","string"],"default":null},
	{"name":"kind","type":{"type":"enum","name":"Kind","symbols":["NEW","USED"]}},
	{"name":"tags","type":{"type":"array","items":"string"}},
	{"name":"more","type":{"type":"map","values":"double"}},
	{"name":"raw","type":"bytes"},
	{"name":"ref","type":{"type":"string","logicalType":"uuid"}},
	{"name":"day","type":{"type":"int","logicalType":"date"}},
	{"name":"at","type":{"type":"int","logicalType":"time-millis"}},
	{"name":"address","type":"shop.Address"}]}`

var cart = map[string]any{
	"user": "u1", "time": time.UnixMilli(1767225600123), "price": big.NewRat(950, 100), "count": int32(2), "weight": float32(0.1), "coupon": nil,
	"kind": "USED", "tags": []any{"a", "물"}, "more": map[string]any{"b": 1.5, "a": 2.0}, "raw": []byte{0, 255}, "ref": "123e4567-e89b-12d3-a456-426614174000",
	"day": time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), "at": 90 * time.Second, "address": map[string]any{"city": "Seoul"},
}

const cartJSON = `{"address":{"city":"Seoul"},"at":90000,"count":2,"coupon":null,"day":"2026-01-02T00:00:00Z","kind":"USED","more":{"a":2,"b":1.5},` +
	`"price":9.5,"raw":"AP8=","ref":"123e4567-e89b-12d3-a456-426614174000","tags":["a","물"],"time":"2026-01-01T00:00:00.123Z","user":"u1","weight":0.1}`

func registerCart(t testing.TB, s *stand) (id int, message []byte) {
	t.Helper()
	s.register(t, "address", sr.Schema{Schema: addressAvro})
	id = s.register(t, "cart", sr.Schema{Schema: cartAvro, References: []sr.SchemaReference{{Name: "shop.Address", Subject: "address", Version: 1}}})
	var cache avro.SchemaCache
	if _, err := cache.Parse(addressAvro); err != nil {
		t.Fatal(err)
	}
	schema, err := cache.Parse(cartAvro)
	if err != nil {
		t.Fatal(err)
	}
	message, err = schema.Encode(cart)
	if err != nil {
		t.Fatal(err)
	}
	return id, message
}

func TestAvro(t *testing.T) {
	s := newStand(t, input.Registry{})
	id, message := registerCart(t, s)
	s.requireJSON(t, wire(t, id, nil, message), "shop.CartAdded", cartJSON)
	s.requireRefused(t, wire(t, id, nil, message[:len(message)-1]), "does not fit its schema")
	s.requireRefused(t, wire(t, id, nil, append(message, 0)), "1 bytes are left over")
	s.requireRefused(t, wire(t, id, nil, nil), "does not fit its schema")
}

// A message that was written by hand after the Avro specification: zigzag
// varints, lengths before texts.
func TestAvroByHand(t *testing.T) {
	s := newStand(t, input.Registry{})
	id := s.register(t, "e", sr.Schema{Schema: `{"type":"record","name":"E","fields":[{"name":"user","type":"string"},{"name":"n","type":"long"}]}`})
	s.requireJSON(t, []byte{0, 0, 0, 0, byte(id), 4, 'u', '1', 0x80, 0x01}, "E", `{"n":64,"user":"u1"}`)
}

func TestJSONSchema(t *testing.T) {
	s := newStand(t, input.Registry{})
	id := s.register(t, "cart", sr.Schema{Type: sr.TypeJSON, Schema: `{"title":"CartAdded","type":"object"}`})
	s.requireJSON(t, wire(t, id, nil, []byte(" {\"user\": \"u1\"}\n")), "CartAdded", `{"user": "u1"}`)
}

func TestUnknownAndBrokenSchemas(t *testing.T) {
	s := newStand(t, input.Registry{})
	s.requireRefused(t, []byte(`{"user":"u1"}`), "does not begin with a zero byte")
	s.requireRefused(t, []byte{0, 0, 0}, "does not begin with a zero byte")
	text := s.register(t, "text", sr.Schema{Schema: `"string"`})
	s.requireRefused(t, wire(t, text, nil, []byte{2, 'a'}), "it is of Avro type string: a record is expected")
	broken := s.register(t, "broken", sr.Schema{Type: sr.TypeProtobuf, Schema: `syntax = "proto3"; import "nowhere.proto"; message A { int32 a = 1; }`})
	s.requireRefused(t, wire(t, broken, []int{0}, nil), "nowhere.proto")
}

// An id that is not known is not asked for at every record, but asked for again:
// it may be given out.
func TestUnknownIDsAreAskedAgain(t *testing.T) {
	s := newStand(t, input.Registry{})
	asked := 0
	s.fake.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/schemas/ids/") {
			asked++
		}
		return false
	})
	value := wire(t, 1, nil, []byte(`{}`))
	for range 5 {
		s.requireRefused(t, value, "does not know schema 1")
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
	s.register(t, "cart", sr.Schema{Type: sr.TypeJSON, Schema: `{}`})
	s.requireRefused(t, value, "does not know schema 1")
	s.now = s.now.Add(absentFor)
	for range 5 {
		s.requireJSON(t, value, "", `{}`)
	}
	if asked != 2 {
		t.Errorf("asked %d times, want twice", asked)
	}
}

// A registry that does not answer, or refuses us, says nothing of the record.
func TestUnavailable(t *testing.T) {
	s := newStand(t, input.Registry{Username: "me", Password: "wrong"}, srfake.WithAuth("Basic bWU6c2VjcmV0"))
	id := s.register(t, "cart", sr.Schema{Type: sr.TypeJSON, Schema: `{}`})
	value := wire(t, id, nil, []byte(`{}`))
	requireAway := func(r *Registry, what string) {
		t.Helper()
		_, _, err := r.AppendJSON(t.Context(), nil, value)
		var passing interface{ Temporary() bool }
		if !errors.As(err, &passing) || !passing.Temporary() {
			t.Errorf("%s: error %v, want a passing one", what, err)
		}
	}
	requireAway(s.Registry, "wrong password")
	right, err := New(input.Registry{URLs: []string{s.fake.URL()}, Username: "me", Password: "secret"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	down := true
	s.fake.Intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		if down {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return down
	})
	requireAway(right, "503")
	down = false
	if got, _, err := right.AppendJSON(t.Context(), nil, value); err != nil || string(got) != "{}" {
		t.Errorf("once it is back: %s, %v", got, err)
	}
	// What was asked once is known from then on.
	s.fake.Close()
	if _, _, err := right.AppendJSON(t.Context(), nil, value); err != nil {
		t.Errorf("a known schema: %v", err)
	}
	if fresh, err := New(input.Registry{URLs: []string{s.fake.URL()}}, time.Now); err != nil {
		t.Error(err)
	} else {
		requireAway(fresh, "nobody listens")
	}
}

func TestCAFile(t *testing.T) {
	if _, err := New(input.Registry{URLs: []string{"http://127.0.0.1:1"}, CAFile: "nowhere.pem"}, time.Now); err == nil || !strings.Contains(err.Error(), "nowhere.pem") {
		t.Errorf("error %v", err)
	}
	if _, err := New(input.Registry{URLs: []string{"http://127.0.0.1:1"}, CAFile: "registry_test.go"}, time.Now); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("error %v", err)
	}
}

// FuzzAppendJSON: whatever follows the schema id, there is a JSON object or an
// error.
func FuzzAppendJSON(f *testing.F) {
	s := newStand(f, input.Registry{})
	avroID, message := registerCart(f, s)
	f.Add(byte(0), message)
	protobufID := registerOrder(f, s)
	f.Add(byte(1), orderMessage(f))
	f.Add(byte(1), []byte{2, 0, 10, 1, 'u'})
	f.Add(byte(1), []byte{})
	f.Fuzz(func(t *testing.T, kind byte, message []byte) {
		id := avroID
		if kind&1 == 1 {
			id = protobufID
		}
		got, _, err := s.AppendJSON(t.Context(), nil, append([]byte{0, 0, 0, 0, byte(id)}, message...))
		if err == nil && !json.Valid(got) {
			t.Fatalf("%q gives %s", message, got)
		}
	})
}

func requireSame(t *testing.T, got []byte, want any) {
	t.Helper()
	var v any
	if err := json.Unmarshal(got, &v); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
