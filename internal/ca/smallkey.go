// SPDX-License-Identifier: AGPL-3.0-only

package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/binary"
	"math/big"
	"sync"
)

// A private key d of 1 to 65,536, or its negation, is one that anybody finds. zlint's search for it takes longer than the
// signature, so smallKeys first tells of nearly every public key that it is not of such a one: with T the points 1·G to m·G and
// S = (2m+1)·G, d·G is i·S away from one of T, or from the negation of one, for an i of no more than 4. Points that are each
// other's negation have the same x, so that the x of P, P±S to P±4S are looked for. The arithmetic takes as long as the
// numbers want, which are all public. Safe for concurrent use.
type smallKeys struct {
	mu     sync.Mutex
	tables map[string]*smallTable // by curve
}

const (
	smallKeyMost  = 1 << 16 // zlint's
	smallTableLen = 1 << 13 // which takes twice as long to make as zlint's, once, and a quarter as long to look in
	smallBlock    = 1 << 7  // points that are made one by one
)

// smallTable is what is known of one curve.
type smallTable struct {
	prime *big.Int
	xs    map[uint64]bool // the last 64 bits of the points' x: few others have the same
	steps [4]point        // S to 4·S
}

type point struct{ x, y *big.Int }

// rulesOut reports whether a public key is surely not that of a small private key; false also where it does not know.
func (s *smallKeys) rulesOut(public crypto.PublicKey) bool {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return false
	}
	p, err := pointOf(key)
	if err != nil {
		return false
	}
	table, err := s.table(key.Curve)
	return err == nil && !table.near(p)
}

func (s *smallKeys) table(curve elliptic.Curve) (*smallTable, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := curve.Params().Name
	if known := s.tables[name]; known != nil {
		return known, nil
	}
	made, err := newSmallTable(curve)
	if err != nil {
		return nil, err
	}
	if s.tables == nil {
		s.tables = map[string]*smallTable{}
	}
	s.tables[name] = made
	return made, nil
}

// multiple is n·G.
func multiple(curve elliptic.Curve, n uint64) (point, error) {
	scalar := make([]byte, (curve.Params().N.BitLen()+7)/8)
	binary.BigEndian.PutUint64(scalar[len(scalar)-8:], n)
	key, err := ecdsa.ParseRawPrivateKey(curve, scalar)
	if err != nil {
		return point{}, err
	}
	return pointOf(&key.PublicKey)
}

func pointOf(key *ecdsa.PublicKey) (point, error) {
	encoded, err := key.Bytes() // 4, x, y (SEC 1, 2.3.3)
	if err != nil {
		return point{}, err
	}
	half := (len(encoded) - 1) / 2
	return point{new(big.Int).SetBytes(encoded[1 : 1+half]), new(big.Int).SetBytes(encoded[1+half:])}, nil
}

// newSmallTable makes the first points one by one, and from then on twice as many at a time, with one division for all.
func newSmallTable(curve elliptic.Curve) (*smallTable, error) {
	t := &smallTable{prime: curve.Params().P, xs: make(map[uint64]bool, smallTableLen)}
	var points []point
	for n := range uint64(smallBlock) {
		p, err := multiple(curve, n+1)
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	for len(points) < smallTableLen {
		count := len(points)
		last := points[count-1]
		double, err := multiple(curve, 2*uint64(count))
		if err != nil {
			return nil, err
		}
		points = append(append(points, t.addAll(points[:count-1], last)...), double) // which is no sum of two different points
	}
	for _, p := range points {
		t.xs[p.x.Uint64()] = true
	}
	for i := range t.steps {
		var err error
		if t.steps[i], err = multiple(curve, uint64(i+1)*(2*smallTableLen+1)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// addAll adds one point to others that are neither it nor its negation.
func (t *smallTable) addAll(to []point, one point) []point {
	differences := make([]*big.Int, len(to))
	for i, p := range to {
		differences[i] = new(big.Int).Sub(p.x, one.x)
	}
	sums := make([]point, len(to))
	for i, inverse := range t.invert(differences) {
		slope := t.times(new(big.Int).Sub(to[i].y, one.y), inverse)
		x := t.sumX(slope, to[i].x, one.x)
		y := t.times(slope, new(big.Int).Sub(one.x, x))
		sums[i] = point{x, y.Mod(y.Sub(y, one.y), t.prime)}
	}
	return sums
}

// near reports whether a point may be a small multiple of G.
func (t *smallTable) near(p point) bool {
	if t.xs[p.x.Uint64()] {
		return true
	}
	differences := make([]*big.Int, len(t.steps))
	for i, step := range t.steps {
		if differences[i] = new(big.Int).Sub(p.x, step.x); differences[i].Sign() == 0 { // it is that, or its negation
			return true
		}
	}
	for i, inverse := range t.invert(differences) {
		step := t.steps[i]
		for _, rise := range []*big.Int{new(big.Int).Sub(p.y, step.y), new(big.Int).Add(p.y, step.y)} {
			if t.xs[t.sumX(t.times(rise, inverse), p.x, step.x).Uint64()] {
				return true
			}
		}
	}
	return false
}

// sumX is the x of the sum of two points on a line of this slope.
func (t *smallTable) sumX(slope, x1, x2 *big.Int) *big.Int {
	x := new(big.Int).Mul(slope, slope)
	x.Sub(x.Sub(x, x1), x2)
	return x.Mod(x, t.prime)
}

func (t *smallTable) times(a, b *big.Int) *big.Int {
	product := new(big.Int).Mul(a, b)
	return product.Mod(product, t.prime)
}

// invert divides 1 by each of several numbers, none of them 0, with one division (Montgomery's trick).
func (t *smallTable) invert(numbers []*big.Int) []*big.Int {
	products := make([]*big.Int, len(numbers)) // of those before
	product := big.NewInt(1)
	for i, number := range numbers {
		products[i] = product
		product = t.times(product, number)
	}
	inverse := new(big.Int).ModInverse(product, t.prime)
	inverses := make([]*big.Int, len(numbers))
	for i := len(numbers) - 1; i >= 0; i-- {
		inverses[i] = t.times(inverse, products[i])
		inverse = t.times(inverse, numbers[i])
	}
	return inverses
}
