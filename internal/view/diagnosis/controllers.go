// SPDX-License-Identifier: AGPL-3.0-only

package diagnosis

import "time"

// controllerChecks are about Juju's controller, and other programs that answer on the network.
func controllerChecks() []check {
	return []check{
		{"controller", checkController},
		{"controller-certificate", checkControllerEnd},
		{"clock-controller", checkClock},
		{"served", checkServed},
		{"listen", checkListen},
		{"crl-served", checkCRLServed},
		{"ocsp", checkOCSP},
	}
}

func checkController(f *Facts) result {
	var bad []string
	for _, one := range f.Controllers {
		if one.Trouble != "" {
			bad = append(bad, one.Address+": "+one.Trouble)
		}
	}
	switch {
	case len(f.Controllers) == 0:
		return note("no address of the controller is known")
	case len(bad) == len(f.Controllers):
		return fail("see the network and the controller: juju status -m controller", "the controller is not reached: %s", some(bad))
	case len(bad) > 0:
		return warn("restart the unit agent (jujud), which writes the controller's addresses anew", "%d of %d addresses of the controller do not answer as they should: %s",
			len(bad), len(f.Controllers), some(bad))
	}
	return fine("%s of the controller answers, verified by the CA in agent.conf", count(len(f.Controllers), "address"))
}

func checkControllerEnd(f *Facts) result {
	const soon = 30 * day
	var first time.Time
	for _, one := range f.Controllers {
		if !one.NotAfter.IsZero() && (first.IsZero() || one.NotAfter.Before(first)) {
			first = one.NotAfter
		}
	}
	switch fix := "renew the controller's certificate: see juju's documentation on upgrading controllers"; {
	case first.IsZero():
		return note("the controller's certificate was not seen")
	case f.Now.After(first):
		return fail(fix, "the controller's certificate expired at %s", moment(first))
	case first.Sub(f.Now) < soon:
		return warn(fix, "the controller's certificate expires at %s", moment(first))
	}
	return fine("the controller's certificate is good until %s", first.UTC().Format(time.DateOnly))
}

func checkClock(f *Facts) result {
	var most time.Duration
	known := false
	for _, one := range f.Controllers {
		if one.Dated && (!known || one.Ahead.Abs() > most.Abs()) {
			most, known = one.Ahead, true
		}
	}
	behind := "behind"
	if most < 0 {
		behind = "ahead of"
	}
	switch off := most.Abs().Round(time.Second); {
	case !known:
		return note("no controller told the time")
	case off > largeSkew:
		return fail(clockFix, "the clock is %s %s the controller's: certificates begin or end at the wrong time", off, behind)
	case off > smallSkew:
		return warn(clockFix, "the clock is %s %s the controller's", off, behind)
	}
	return fine("the clock is that of the controller, to a minute")
}

// checkServed holds what is published against what is served.
func checkServed(f *Facts) result {
	var bad, old []string
	answered := 0
	for _, one := range f.Served {
		switch {
		case one.Refused && !one.Asked:
			continue // a certificate need not be a server's
		case one.Refused || one.Trouble != "":
			if one.Asked {
				bad = append(bad, one.Address+": "+one.Trouble)
			}
			continue
		case f.Now.After(one.NotAfter):
			bad = append(bad, one.Address+": it serves a certificate that expired at "+moment(one.NotAfter))
		case one.Unproven != "":
			bad = append(bad, one.Address+": "+one.Unproven)
		case one.Expected != "" && one.Expected != one.Serial:
			old = append(old, one.Address+" serves "+one.Serial+", and "+one.Path+" has "+one.Expected)
		}
		answered++
	}
	fix := "have the service take up its files: systemctl restart SERVICE, and name it in the option reload"
	switch {
	case len(bad) > 0:
		return fail(fix, "what is served is not as it should be: %s", some(bad))
	case len(old) > 0:
		return warn(fix, "another certificate is served than lies on the disk: %s", some(old))
	case answered > 0:
		return fine("addresses that serve what they should: %d", answered)
	}
	return fine("nothing here serves a certificate of this unit's; signet doctor --dial HOST:PORT looks at others")
}

func checkListen(f *Facts) result {
	switch l := f.Listening; {
	case !f.fromAgent():
		return unseen()
	case f.View.Settings.Listen == "":
		return fine("the option listen is not set")
	case l == nil:
		return note("nobody looked at %s", f.View.Settings.Listen)
	case l.Trouble != "":
		return fail("free the address for the agent, or set another: juju config "+f.application()+" listen=HOST:PORT", "nobody answers at %s: %s", l.Address, l.Trouble)
	case l.Health != "":
		return fail("see signet status", "what is served at %s is not well: %s", l.Address, l.Health)
	}
	return fine("revocation lists are served at %s", f.Listening.Address)
}

func checkCRLServed(f *Facts) result {
	switch l := f.Listening; {
	case l == nil || l.Trouble != "":
		return fine("no revocation list is served here")
	case l.CRL != "":
		return fail("see signet status", "the revocation list at %s cannot be used: %s", l.Address, l.CRL)
	}
	return fine("the revocation list that is served is signed and fresh")
}

func checkOCSP(f *Facts) result {
	switch l := f.Listening; {
	case l == nil || l.Trouble != "" || !l.Asked:
		return fine("nobody answers OCSP here")
	case l.OCSP != "":
		return fail("see signet status, and whether the model has secrets", "OCSP at %s gives no answer: %s", l.Address, l.OCSP)
	}
	return fine("OCSP answers")
}
