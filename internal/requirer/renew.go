// SPDX-License-Identifier: AGPL-3.0-only

package requirer

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/signet-charm/signet/internal/cert"
)

// asked is what the unit state notes of a request: when it was made again, and how often since an answer was accepted.
type asked struct {
	at    time.Time
	times int
}

func askedKey(i item) string { return "asked-again." + i.name }

// mark tells requests apart in few characters.
func mark(request string) string {
	sum := sha256.Sum256([]byte(request))
	return hex.EncodeToString(sum[:4])
}

// lastAsked gives the note of an item's present request; false when there is none.
func (s *step) lastAsked(i item) (asked, bool) {
	var at, of string
	var last asked
	if _, err := fmt.Sscan(s.snap.State[askedKey(i)], &at, &of, &last.times); err != nil || last.times < 0 || of != mark(i.want.Request) {
		return asked{}, false
	}
	var err error
	last.at, err = time.Parse(time.RFC3339, at)
	return last, err == nil
}

func (s *step) noteAsked(i item, times int) {
	s.decision.State[askedKey(i)] = fmt.Sprintf("%s %s %d", s.now.UTC().Format(time.RFC3339), mark(i.want.Request), times)
}

// renew replaces the request of a certificate whose renewal is due, that is revoked or over, or that was refused: a new
// request, because sending the old one again changes nothing. Legacy certificates are renewed by their provider.
func (s *step) renew(items []item) {
	for n := range items {
		i := &items[n]
		if i.best != nil {
			s.wake(i.best.leaf.NotAfter.Add(time.Second))
		}
		switch { // a legacy answer beside it is no reason to give up
		case i.ownKey():
			s.askAgain(i, i.best.leaf, cert.RenewAt(i.best.leaf))
		case i.spent != nil:
			s.askAgain(i, i.spent, s.now)
		case i.refused:
			s.askRefused(i)
		}
	}
}

// askAgain asks for a certificate's successor when the time has come, but not again before a part of its life has gone
// by since the last time: with a wrong clock every new certificate is due, or over, when it arrives.
func (s *step) askAgain(i *item, leaf *x509.Certificate, at time.Time) {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	pause := max(life/4, time.Minute)
	if !i.ownKey() {
		pause = min(pause, time.Hour)
	}
	last, before := s.lastAsked(*i)
	before = before && !last.at.After(s.now) // the clock was set back since
	if again := last.at.Add(pause); before && again.After(at) {
		at = again
	}
	if s.now.Before(at) {
		s.wake(at)
		return
	}
	s.replaceRequest(i, cert.SerialText(leaf.SerialNumber), 0)
}

// The pause before a refused certificate is asked for again doubles from one to the other.
const (
	firstPause   = time.Hour
	longestPause = 32 * time.Hour
)

// askRefused asks again for what was refused: whoever refused it may have changed their mind, but not within the hour.
func (s *step) askRefused(i *item) {
	last, before := s.lastAsked(*i)
	if !before || last.at.After(s.now) { // it is refused for the first time, or the clock was set back
		s.noteAsked(*i, last.times)
		s.wake(s.now.Add(firstPause))
		return
	}
	at := last.at.Add(doubled(firstPause, longestPause, last.times))
	if s.now.Before(at) {
		s.wake(at)
		return
	}
	s.replaceRequest(i, fmt.Sprintf("refused-%d", at.Unix()), last.times+1)
}

// replaceRequest makes a new request in place of the one whose certificate, if it has one, is named.
func (s *step) replaceRequest(i *item, replaces string, times int) {
	former := i.want.Request
	i.rekeyed = s.settings.NewKeys && i.ownKey()
	if i.rekeyed && !s.installed(*i) { // the key of what is to be installed must not go first
		i.rekeyed = false
		s.wake(s.now.Add(time.Minute))
		return
	}
	if s.makeRequest(i, replaces, i.rekeyed); i.want.Request != former {
		s.noteAsked(*i, times)
	}
}
