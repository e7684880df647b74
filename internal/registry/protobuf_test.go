package registry

import (
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/nudged/nudged/internal/input"
)

const addressProto = `syntax = "proto3";
package shop;
message Address { string city = 1; }`

const orderProto = `syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
import "shop/address.proto";
message Other { string x = 1; }
message Order {
  enum Kind { NEW = 0; USED = 1; }
  message Line { string sku = 1; double price = 2; }
  string user_id = 1;
  google.protobuf.Timestamp time = 2;
  int64 count = 3;
  uint64 big = 4;
  optional string coupon = 5;
  Kind kind = 6;
  repeated Line lines = 7;
  map<string, int32> more = 8;
  bytes raw = 9;
  google.protobuf.Duration took = 10;
  google.protobuf.StringValue note = 11;
  google.protobuf.Struct extra = 12;
  Address address = 13;
  float share = 14;
  double nothing = 15;
  oneof payment { string card = 16; bool cash = 17; }
  repeated sint32 numbers = 18;
  google.protobuf.Value any = 19;
}`

func registerOrder(t testing.TB, s *stand) (id int) {
	t.Helper()
	s.register(t, "addressproto", sr.Schema{Type: sr.TypeProtobuf, Schema: addressProto})
	return s.register(t, "order", sr.Schema{
		Type: sr.TypeProtobuf, Schema: orderProto,
		References: []sr.SchemaReference{{Name: "shop/address.proto", Subject: "addressproto", Version: 1}},
	})
}

// field appends a length-delimited field.
func field(b []byte, n protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, n, protowire.BytesType), content)
}

func varint(b []byte, n protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), v)
}

func double(b []byte, n protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, n, protowire.Fixed64Type), math.Float64bits(v))
}

// orderMessage is an Order, written field by field, with the indexes before it:
// one index, message type 1.
func orderMessage(t testing.TB) []byte {
	t.Helper()
	b := []byte{2, 2}
	b = field(b, 1, []byte("u1"))
	b = field(b, 2, varint(varint(nil, 1, 1767225600), 2, 123_999_999))
	b = varint(b, 3, 1<<64-3) // -3
	b = varint(b, 4, math.MaxUint64)
	b = varint(b, 6, 1)
	b = field(b, 7, double(field(nil, 1, []byte("a")), 2, 9.5))
	b = field(b, 7, field(nil, 1, []byte("b")))
	b = field(b, 8, varint(field(nil, 1, []byte("y")), 2, 2))
	b = field(b, 8, varint(field(nil, 1, []byte("x")), 2, 1))
	b = field(b, 9, []byte{0, 255})
	b = field(b, 10, varint(varint(nil, 1, 90), 2, 500_000_000))
	b = field(b, 11, field(nil, 1, []byte("물")))
	b = field(b, 12, field(nil, 1, field(field(nil, 1, []byte("deep")), 2, field(nil, 6, field(nil, 1, double(nil, 2, 1))))))
	b = field(b, 13, field(nil, 1, []byte("Seoul")))
	b = double(b, 15, math.NaN())
	b = varint(b, 17, 0)
	b = field(b, 18, []byte{1, 2}) // packed: -1, 1
	return varint(b, 99, 7)        // a field of a later version
}

func TestProtobuf(t *testing.T) {
	s := newStand(t, input.Registry{})
	id := registerOrder(t, s)
	got, name, err := s.AppendJSON(t.Context(), nil, wire(t, id, nil, orderMessage(t)))
	if err != nil || name != "shop.Order" {
		t.Fatalf("%s, %v", name, err)
	}
	requireSame(t, got, map[string]any{
		"user_id": "u1", "time": "2026-01-01T00:00:00.123Z", "count": -3.0, "big": float64(math.MaxUint64), "kind": "USED",
		"lines": []any{map[string]any{"sku": "a", "price": 9.5}, map[string]any{"sku": "b", "price": 0.0}},
		"more":  map[string]any{"x": 1.0, "y": 2.0}, "raw": "AP8=", "took": 90.5, "note": "물",
		"extra": map[string]any{"deep": []any{1.0}}, "address": map[string]any{"city": "Seoul"},
		"share": 0.0, "nothing": nil, "cash": false, "numbers": []any{-1.0, 1.0},
	})
}

func TestProtobufTypes(t *testing.T) {
	s := newStand(t, input.Registry{})
	id := registerOrder(t, s)
	// The short form of the first type, a type within a type.
	s.requireJSON(t, wire(t, id, nil, []byte{0, 10, 1, 'a'}), "shop.Other", `{"x":"a"}`)
	s.requireJSON(t, wire(t, id, nil, []byte{4, 2, 0, 10, 1, 'a'}), "shop.Order.Line", `{"sku":"a","price":0}`)
	s.requireRefused(t, wire(t, id, nil, []byte{2, 6}), "names message type [3], which the schema does not have")
	s.requireRefused(t, wire(t, id, nil, []byte{2, 1}), "names message type [-1]")
	s.requireRefused(t, wire(t, id, nil, []byte{}), "not followed by the indexes")
	s.requireRefused(t, wire(t, id, nil, []byte{0xff, 0xff, 0xff, 0xff, 0x0f}), "not followed by the indexes")
	s.requireRefused(t, wire(t, id, nil, []byte{0, 10, 5, 'a'}), "does not fit its schema")
	s.requireRefused(t, wire(t, id, nil, append([]byte{2, 2}, field(nil, 2, varint(nil, 1, 1<<60))...)), "outside the years")
}
