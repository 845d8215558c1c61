// SPDX-License-Identifier: AGPL-3.0-only

package disk

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/order"
)

const (
	madePrefix = "made."   // secrets by order ID
	madeLife   = time.Hour // for a crash between making a secret and Juju having it; what is ordered later is meant to be new
)

// Carry carries out an order that only touches the disk; any other fails with the code "not-carried". A repeated order
// finds its effect in place and changes nothing.
func (f *Folder) Carry(ctx context.Context, o order.Order) order.Answer {
	answer := order.Answer{Order: o.ID(), State: order.Pending}
	if ctx.Err() != nil {
		return answer
	}
	f.carrying.Lock()
	defer f.carrying.Unlock()
	var err error
	switch o := o.(type) {
	case order.MakeRequest:
		answer.Request, err = f.makeRequest(o)
	case order.Install:
		answer.Sums, err = f.install(o)
	case order.Link:
		err = f.link(o)
	case order.Merge:
		err = f.merge(o)
	case order.Trust:
		answer.Laid, err = f.trust(o)
	case order.Remember:
		err = f.journal.Remember(o.Entries...)
	case order.MakeSecret:
		answer.Key, err = f.makeSecret(o)
	default:
		err = order.Fail("not-carried", "cannot carry out %T: it is not the disk's", o)
	}
	answer.State = order.Done
	if err != nil {
		answer = order.Answer{Order: o.ID(), State: order.Failed, Failure: order.FailureOf(err)}
	}
	return answer
}

// makeSecret gives 256 random bits, the same for the same order while they are young.
func (f *Folder) makeSecret(o order.MakeSecret) (cert.Key, error) {
	name := madePrefix + string(o.ID())
	if f.young(name) {
		blob, err := f.Secrets().Read(name)
		if err == nil {
			return cert.NewKey(string(blob)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return cert.Key{}, err
		}
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	text := base64.StdEncoding.EncodeToString(random)
	if err := f.Secrets().Write(name, []byte(text)); err != nil {
		return cert.Key{}, err
	}
	return cert.NewKey(text), nil
}

// young reports whether a made secret may be given again. One from the far future is not:
// its true age is unknown.
func (f *Folder) young(name string) bool {
	info, err := os.Lstat(f.path(secretsName, name))
	return err == nil && time.Since(info.ModTime()).Abs() < madeLife
}

// forgetMade removes made secrets that are not young. Those that cannot be removed now are next time.
func (f *Folder) forgetMade() {
	names, _ := f.Secrets().Names(madePrefix)
	for _, name := range names {
		if !f.young(name) {
			_ = f.Secrets().Remove(name)
		}
	}
}
