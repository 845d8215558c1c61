// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/signet-charm/signet/internal/ledger"
	"github.com/signet-charm/signet/internal/provider"
	"github.com/signet-charm/signet/internal/view"
)

// requestChecks are about who asks for what, and the options that say who may.
func requestChecks() []check {
	return []check{
		{"refused", checkRefused},
		{"refusals", checkRefusals},
		{"outstanding", checkOutstanding},
		{"circles", checkCircles},
		{"policy", checkPolicy},
		{"config", checkConfig},
		{"seal", checkSeal},
		{"versions", checkVersions},
	}
}

func checkRefused(f *Facts) result {
	if !f.fromAgent() {
		return unseen()
	}
	var refused []string
	fix := ""
	for _, one := range f.View.Requests {
		if one.Outcome == view.Refused {
			refused = append(refused, fmt.Sprintf("%s %s: %s (%s)", cmp.Or(one.Unit, one.Application), cmp.Or(one.CommonName, one.Item), one.Reason, one.Code))
			fix = cmp.Or(fix, one.Fix)
		}
	}
	if len(refused) > 0 {
		if fix != "" {
			fix = "run: " + fix
		}
		return warn(cmp.Or(fix, "signet requests explain says why"), "%s refused: %s", count(len(refused), "request"), some(refused))
	}
	return fine("no request is refused")
}

func checkRefusals(f *Facts) result {
	byCode, all := map[string]int{}, 0
	for _, entry := range f.Record.Entries {
		if entry.Event == ledger.Denied && f.Now.Sub(entry.Time) < day {
			byCode[entry.Code]++
			all++
		}
	}
	if all == 0 {
		return fine("nothing was refused within the last day")
	}
	var codes []string
	for _, code := range slices.Sorted(maps.Keys(byCode)) {
		codes = append(codes, fmt.Sprintf("%d %s", byCode[code], code))
	}
	return note("%s within the last day: %s; signet audit tail shows them", count(all, "refusal"), some(codes))
}

// waitsFor is how long a request may wait to be signed outside before somebody should look.
const waitsFor = day

func checkOutstanding(f *Facts) result {
	if !f.fromAgent() {
		return unseen()
	}
	var waiting, long []string
	for _, one := range f.View.Requests {
		if one.Outcome != view.Outstanding && (one.Outcome != view.InWaiting || one.Sent) {
			continue
		}
		name := fmt.Sprintf("%s %s", cmp.Or(one.Unit, one.Application), cmp.Or(one.CommonName, one.Item))
		waiting = append(waiting, name)
		if !one.Since.IsZero() && f.Now.Sub(one.Since) > waitsFor {
			long = append(long, name+" since "+moment(one.Since))
		}
	}
	switch {
	case len(long) > 0:
		return warn("signet requests list says what each waits for", "%s for more than a day: %s", wait(len(long)), some(long))
	case len(waiting) > 0:
		return note("%s to be signed: %s", wait(len(waiting)), some(waiting))
	}
	return fine("no request waits")
}

func wait(n int) string {
	if n == 1 {
		return "1 request waits"
	}
	return fmt.Sprintf("%d requests wait", n)
}

func checkCircles(f *Facts) result {
	record, err := ledger.Fold(f.Record.Entries)
	if err != nil {
		return note("the record cannot be followed: see the check journal")
	}
	found := record.Repeats(f.Now.Add(-time.Hour), f.Now.Add(time.Minute), provider.MaxRepeats)
	if len(found) > 0 {
		names := map[string]bool{}
		for i := range f.Record.Entries {
			if entry := f.Record.Entries[i]; entry.Event == ledger.Issued {
				if _, repeats := found[entry.Key()]; repeats {
					names[cmp.Or(entry.Unit, entry.App, entry.For)] = true
				}
			}
		}
		return warn("see what the charm there changes each time: signet audit tail", "the same is asked for again and again: %s", some(slices.Sorted(maps.Keys(names))))
	}
	return fine("nothing is asked for in circles")
}

func checkPolicy(f *Facts) result {
	app := f.application()
	switch {
	case !f.fromAgent():
		return unseen()
	case f.View.Settings.Policy == "open":
		return warn(run("juju", "config", app, "policy=kubernetes"), "policy=open: whoever is related gets whatever certificate it asks for")
	case f.View.Settings.ReportOnly:
		return warn(run("juju", "config", app, "policy-report-only=false"), "the policy only reports what it would refuse")
	case f.View.Settings.Policy == "":
		return fine("this charm issues nothing")
	}
	return fine("policy=%s is enforced", f.View.Settings.Policy)
}

func checkConfig(f *Facts) result {
	switch {
	case !f.fromAgent():
		return unseen()
	case len(f.View.Options) > 0:
		return fail("set the option right: juju config "+f.application()+" OPTION=VALUE", "options cannot be used, and the last sound values stay in force: %s", some(f.View.Options))
	}
	return fine("all options can be used")
}

func checkSeal(f *Facts) result {
	set := f.View.Settings
	switch {
	case !f.fromAgent():
		return unseen()
	case set.Secrets:
		return fine("units share private keys sealed, under a key from a Juju secret")
	case len(set.Peers) > 0:
		return warn("upgrade the controller and the model to Juju 3", "the model has no secrets: units cannot share private keys or the CA's, so that only one can sign")
	}
	return note("the model has no secrets: the CA's key lies on this unit only")
}

func checkVersions(f *Facts) result {
	var others []string
	for _, unit := range slices.Sorted(maps.Keys(f.View.Settings.Versions)) {
		if of := f.View.Settings.Versions[unit]; of != f.Version {
			others = append(others, unit+" "+of)
		}
	}
	switch {
	case !f.fromAgent():
		return unseen()
	case len(others) > 0:
		return warn("let the refresh end: juju status "+f.application()+"; juju resolve units in error", "units run other versions than this one's %s: %s", f.Version, some(others))
	case len(f.View.Settings.Peers) == 0:
		return fine("there is no other unit")
	case len(f.View.Settings.Versions) == 0:
		return note("the other units do not say of which version they are")
	}
	return fine("all units run version %s", f.Version)
}
