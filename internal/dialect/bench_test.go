// SPDX-License-Identifier: AGPL-3.0-only

package dialect_test

import (
	"fmt"
	"testing"

	"github.com/signet-charm/signet/internal/dialect"
	"github.com/signet-charm/signet/internal/juju"
)

// The time for one relation must grow in proportion to its units: compare the sizes.

// crowd is a relation with so many units, all answered already.
func crowd(b *testing.B, size int, bag func(int) juju.Bag) (juju.Relation, dialect.Publication) {
	b.Helper()
	ca := newRoot(b, "root")
	rel := etcd(map[string]juju.Bag{})
	for i := range size {
		rel.RemoteUnits[fmt.Sprintf("etcd/%d", i)] = bag(i)
	}
	pub := grantAll(ca, rel)
	pub.Common = common(ca)
	return withBags(rel, dialect.PublishUnit(rel, pub), dialect.PublishApplication(rel, pub)), pub
}

// turn is what a provider does with a relation in which nothing is new.
func turn(b *testing.B, rel juju.Relation, pub dialect.Publication) {
	b.Helper()
	for b.Loop() {
		reading := dialect.Read(rel)
		index := dialect.NewIndex(rel)
		for _, ask := range reading.Asks {
			if _, found := index.Published(ask); !found {
				b.Fatal("an answer is not found")
			}
		}
		if len(dialect.PublishUnit(rel, pub)) != len(rel.OwnUnit) || len(dialect.PublishApplication(rel, pub)) != len(rel.OwnApp) {
			b.Fatal("something changed")
		}
	}
}

func BenchmarkTurnLegacy(b *testing.B) {
	for _, size := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			rel, pub := crowd(b, size, func(i int) juju.Bag {
				return juju.Bag{
					"unit_name": fmt.Sprintf("etcd_%d", i), "common_name": fmt.Sprintf("host-%d", i), "sans": `["a.example", "10.0.0.1"]`,
				}
			})
			turn(b, rel, pub)
		})
	}
}

func BenchmarkTurnCSR(b *testing.B) {
	for _, size := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			rel, pub := crowd(b, size, func(i int) juju.Bag { return asking(newRequest(b, fmt.Sprintf("host-%d", i))) })
			turn(b, rel, pub)
		})
	}
}
