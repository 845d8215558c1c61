// SPDX-License-Identifier: AGPL-3.0-only

package provider

import (
	"fmt"
	"strings"
	"time"

	"github.com/signet-charm/signet/internal/cert"
	"github.com/signet-charm/signet/internal/juju"
)

// actRotate begins a rollover, or has it paused, go on, hurry or end.
func (s *step) actRotate(params *juju.Config) {
	step := params.Choice("step", "start", "pause", "resume", "advance", "abort", "plan")
	if s.current.slot == nil {
		s.fail("there is no CA in service to be replaced: see the status of %s", s.snap.Application())
		return
	}
	under := s.record.Next != nil || len(s.record.Retiring) > 0
	switch {
	case step == "start" && s.record.Next != nil:
		s.fail("a rollover to CA %d is under way: %s", s.record.Next.Generation, s.rolloverNote())
		return
	case step == "start" && s.settings.Hand:
		s.fail("authority=manual: the next CA is made elsewhere: run provide-certificate with its ca-certificate alone, and a rollover begins")
		return
	case step == "start" && params.Flag("dry-run", false):
	case step == "start":
		if !s.beginRollover(cert.Subject{}) {
			s.failMaking()
			return
		}
		s.record.Paused = false
	case step == "plan":
	case !under:
		s.fail("no rollover is under way: run rotate-ca to begin one")
		return
	case step == "advance":
		if !s.advance() {
			return
		}
	case step == "abort" && s.record.Next == nil && s.now.After(s.retiring[0].certificate.NotAfter):
		s.fail("CA %d, which would sign again, has expired: let the rollover end", s.retiring[0].Generation)
		return
	case step == "abort":
		s.goBack()
		s.record.Paused = false
	default:
		s.record.Paused = step == "pause"
	}
	if next := s.record.Next; step == "start" && next != nil && !params.Flag("dry-run", false) {
		s.did("CA %d is made", next.Generation)
	}
	s.did("what follows: %s", s.plan())
	s.succeed(map[string]string{"rollover": s.plan()})
}

// advance takes the next step without waiting for anybody.
func (s *step) advance() bool {
	switch {
	case s.record.Next != nil && s.record.Next.Certificate == "":
		s.fail("CA %d is not certified yet: run get-csr and upload-signed-csr", s.record.Next.Generation)
	case s.record.Next != nil && s.record.Since.IsZero():
		s.fail("CA %d is not published yet: wait for the next turn", s.record.Next.Generation)
	case s.record.Next != nil:
		s.moveOn()
		return true
	default:
		before := len(s.record.Retiring)
		if s.retire(true); len(s.record.Retiring) < before {
			return true
		}
		s.fail("certificates of CA %d are still published: wait until they are replaced, or raise renewals-per-hour", s.record.Retiring[0].Generation)
	}
	return false
}

// plan says what a rollover does from here on, or would do.
func (s *step) plan() string {
	if note := s.rolloverNote(); note != "" && (s.record.Next != nil || len(s.record.Retiring) > 0) {
		return note
	}
	changed := s.planned()
	what := "by the same options"
	if len(changed) > 0 {
		what = "with new " + strings.Join(changed, ", ")
	}
	return fmt.Sprintf("CA %d would be made %s, be published to be trusted for %s, and then sign; it begins by itself on %s",
		s.generation(), what, s.settings.TrustWait, s.rolloverAt().Format(time.DateOnly))
}

// actNewCA begins a rollover under the names that other charms have for it: rotate-private-key of self-signed-certificates,
// generate-root-ca of Vault's. There they cut what was issued; here nothing is.
func (s *step) actNewCA(params *juju.Config) {
	if s.current.slot == nil {
		s.fail("there is no CA in service to be replaced: see the status of %s", s.snap.Application())
		return
	}
	if params.Flag("dry-run", false) {
		s.succeed(map[string]string{"rollover": s.plan()})
		return
	}
	s.actRotate(&juju.Config{})
	if s.decision.Result == nil || s.decision.Result.Failure != "" {
		return
	}
	s.decision.Result.Results["result"] = "the next CA was made: it is published to be trusted, then signs, and certificates are renewed one after the other"
	if next := s.record.Next; next != nil && next.Certificate != "" {
		s.decision.Result.Results["output"] = next.Certificate
	}
}
