//! Asking an authorization service about a request (Envoy: `extensions/filters/http/ext_authz`): the question, and what its
//! answer says. When it is asked is the engine's business (`engine::authz`).

use crate::access::check::{self, Body, Told};
use crate::access::mutation::{is_framing, Granted, How, Mutation, Refused, Said, Silence};
use crate::access::request::Request;
use crate::access::rules::Test;
use crate::ascii;
use crate::config::{self, check_seconds, AskedBy, AuthzService, CheckedBody, TextMatch};
use crate::head::{Head, Version};
use crate::limits::{MAX_AUTHZ_BODY, MAX_AUTHZ_TIMEOUT_S};
use crate::text::Text;

/// Namespace under which answers are noted: Envoy's name of the filter.
pub const NAMESPACE: &str = "envoy.filters.http.ext_authz";

const CHECK: &[u8] = b"/envoy.service.auth.v3.Authorization/Check";
const PARTIAL_BODY: &[u8] = b"x-envoy-auth-partial-body";
const HEADERS_TO_REMOVE: &[u8] = b"x-envoy-auth-headers-to-remove";

/// A compiled step.
#[derive(Debug)]
pub struct Authz {
    /// As configured.
    pub terms: config::ExtAuthz,
    /// Who is asked.
    pub service: Service,
    /// What becomes of a request of which nothing was learned.
    pub silence: Silence,
    allowed: Option<Vec<Text>>,
    disallowed: Vec<Text>,
    enabled_if: Option<Test>,
}

/// What a route says of a step.
#[derive(Debug)]
pub struct Override {
    /// With a service of its own: the step where there is no other.
    pub alone: Option<Authz>,
    terms: config::AuthzOverride,
}

/// A compiled service.
#[derive(Debug)]
pub struct Service {
    /// As configured.
    pub terms: AuthzService,
    upstream: Vec<Text>,
    upstream_append: Vec<Text>,
    client: Option<Vec<Text>>,
    client_on_success: Vec<Text>,
}

/// What a question is made of beside the request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Number of the exchange.
    pub id: u64,
    /// Seconds since the epoch.
    pub time: u64,
    /// Of the route, if it says anything.
    pub over: Option<&'a Override>,
    /// As much of the body as is told.
    pub body: Option<Body<'a>>,
}

impl Authz {
    /// Compile a step; the error names what is wrong behind `field`.
    pub fn compile(terms: &config::ExtAuthz, field: &str) -> Result<Self, String> {
        let (fail_open, marks) = (terms.fail_open, terms.marks_failure);
        let silence = Silence { fail_open, marks, status: terms.status_on_error };
        silence.check().map_err(|what| format!("{field}.status_on_error: {what}"))?;
        check_body(terms.body, field)?;
        Ok(Self {
            service: Service::compile(&terms.service, &format!("{field}.service"))?,
            silence,
            allowed: terms.allowed.as_deref().map(|all| texts(all, field, "allowed")).transpose()?,
            disallowed: texts(&terms.disallowed, field, "disallowed")?,
            enabled_if: terms
                .enabled_if
                .as_ref()
                .map(|test| Test::compile(test, &format!("{field}.enabled_if"), 0))
                .transpose()?,
            terms: terms.clone(),
        })
    }

    /// Return whether requests like this one are asked about.
    pub fn concerns(&self, request: &Request<'_>) -> bool {
        self.enabled_if.as_ref().is_none_or(|test| test.holds(request))
    }

    /// Return what a service is asked about a request: the head of the question and its body.
    pub fn question(&self, service: &Service, request: &Request<'_>, asked: Asked<'_>) -> (Head, Vec<u8>) {
        match &service.terms.by {
            AskedBy::AskedByGrpc { authority, metadata } => {
                let noted =
                    request.noted.iter().filter(|(name, _)| self.terms.namespaces.iter().any(|one| **one == **name));
                let told = Told {
                    id: asked.id,
                    time: asked.time,
                    extensions: asked.over.map_or(&[], |over| &over.terms.extensions),
                    noted: noted.map(|(name, value)| (&**name, value)).collect(),
                    headers: self.told_by_grpc(request, asked.body),
                    body: asked.body,
                };
                let message = check::question(request, &told);
                (call(service, authority, metadata), crate::grpc::framed(&message))
            }
            AskedBy::AskedByHttp { prefix, add, .. } => {
                let head = self.told_by_http(request, prefix, add, asked.body);
                (head, asked.body.map_or(Vec::new(), |body| body.bytes.to_vec()))
            }
        }
    }

    fn is_told(&self, name: &[u8], by_default: bool) -> bool {
        let any = |texts: &[Text]| texts.iter().any(|text| text.matches(name));
        self.allowed.as_deref().map_or(by_default, any) && !any(&self.disallowed)
    }

    fn told_by_grpc(&self, request: &Request<'_>, body: Option<Body<'_>>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let head = request.head;
        let own = [
            (&b":authority"[..], head.authority()),
            (b":method", head.method()),
            (b":path", head.path()),
            (b":scheme", head.scheme()),
        ];
        let all = own.into_iter().filter(|(_, value)| !value.is_empty()).chain(head.fields());
        let told = all.filter(|(name, _)| self.is_told(name, true));
        let mut told: Vec<_> = told.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        if let Some(body) = body {
            told.push((PARTIAL_BODY.to_vec(), yes_or_no(body.partial).to_vec()));
        }
        told
    }

    fn told_by_http(
        &self,
        request: &Request<'_>,
        prefix: &str,
        add: &[(String, String)],
        body: Option<Body<'_>>,
    ) -> Head {
        let asked = request.head;
        let mut head = Head::default();
        head.version = Version::Http11;
        // What frames call a method is the last word of their path.
        head.set_method(if asked.version.is_framed() { b"POST" } else { asked.method() });
        head.set_authority(asked.authority());
        let path = [prefix.as_bytes(), asked.path()].concat();
        head.set_path(if ascii::is_target(&path) { &path } else { b"/" });
        for (name, value) in asked.fields() {
            let may = ascii::is_lower_token(name) && ascii::is_field_value(value) && !is_framing(name);
            if may && (name == b"authorization" || self.is_told(name, false)) {
                head.push(name, value);
            }
        }
        if let Some(body) = body {
            head.set(PARTIAL_BODY, yes_or_no(body.partial));
        }
        for (name, value) in add {
            head.set(name.as_bytes(), value.as_bytes());
        }
        head
    }
}

impl Override {
    /// Compile what a route says; the error names what is wrong behind `field`.
    pub fn compile(terms: &config::AuthzOverride, field: &str) -> Result<Self, String> {
        check_body(terms.body, field)?;
        let alone = terms.service.as_ref().map(|service| {
            let step = config::ExtAuthz {
                service: service.clone(),
                fail_open: false,
                marks_failure: false,
                status_on_error: 403,
                body: None,
                allowed: None,
                disallowed: Vec::new(),
                namespaces: Vec::new(),
                enabled_millionths: 1_000_000,
                enabled_if: None,
                deny_at_disable: false,
            };
            Authz::compile(&step, field)
        });
        Ok(Self { alone: alone.transpose()?, terms: terms.clone() })
    }

    /// Return the service that is asked in place of a listener's.
    pub fn service(&self) -> Option<&Service> {
        self.alone.as_ref().map(|step| &step.service)
    }

    /// Return how much of the body is told, where the listener says `listeners`.
    pub fn body(&self, listeners: Option<CheckedBody>) -> Option<CheckedBody> {
        self.terms.body.or(listeners).filter(|_| !self.terms.without_body)
    }
}

impl Service {
    fn compile(terms: &AuthzService, field: &str) -> Result<Self, String> {
        check_seconds(terms.timeout_s).map_err(|what| format!("{field}.timeout_s: {what}"))?;
        if !(terms.timeout_s > 0.0 && terms.timeout_s <= MAX_AUTHZ_TIMEOUT_S) {
            let seconds = terms.timeout_s;
            return Err(format!(
                "{field}.timeout_s: {seconds} is out of range; accepted are more than 0, up to {MAX_AUTHZ_TIMEOUT_S}"
            ));
        }
        let (pairs, lists, client) = match &terms.by {
            AskedBy::AskedByGrpc { authority, metadata } => {
                if !authority.is_empty() && !ascii::is_authority(authority.as_bytes()) {
                    return Err(format!("{field}.by.authority: {authority:?} cannot be sent"));
                }
                (metadata, [&[][..]; 3], None)
            }
            AskedBy::AskedByHttp { prefix, add, upstream, upstream_append, client, client_on_success } => {
                if !prefix.is_empty() && !ascii::is_target(prefix.as_bytes()) {
                    return Err(format!("{field}.by.prefix: {prefix:?} cannot be the beginning of a path"));
                }
                (add, [&upstream[..], upstream_append, client_on_success], client.as_deref())
            }
        };
        for (name, value) in pairs {
            if !ascii::is_lower_token(name.as_bytes()) || !ascii::is_field_value(value.as_bytes()) {
                return Err(format!("{field}.by: header {name:?}: {value:?} cannot be sent"));
            }
        }
        let [upstream, upstream_append, client_on_success] = lists;
        Ok(Self {
            terms: terms.clone(),
            upstream: texts(upstream, field, "by.upstream")?,
            upstream_append: texts(upstream_append, field, "by.upstream_append")?,
            client: client.map(|client| texts(client, field, "by.client")).transpose()?,
            client_on_success: texts(client_on_success, field, "by.client_on_success")?,
        })
    }

    /// Return what an answer says: `status`, `head` (trailers included) and `body` of it.
    pub fn said(&self, status: u16, head: &Head, body: &[u8]) -> Said {
        match self.terms.by {
            AskedBy::AskedByGrpc { .. } => {
                let fine = status == 200 && head.get(b"grpc-status") == Some(b"0");
                let message = fine.then(|| crate::grpc::unframed(body)).flatten();
                message.and_then(check::answer).unwrap_or(Said::Failed(None))
            }
            AskedBy::AskedByHttp { .. } if status >= 500 => Said::Failed(None),
            AskedBy::AskedByHttp { .. } if status == 200 => Said::Through(Box::new(self.granted(head))),
            AskedBy::AskedByHttp { .. } => Said::Refused(self.refused(status, head, body)),
        }
    }

    fn granted(&self, head: &Head) -> Granted {
        let mut granted = Granted::default();
        for (name, value) in head.fields() {
            let among = |texts: &[Text]| texts.iter().any(|text| text.matches(name));
            if name == HEADERS_TO_REMOVE {
                let names = value.split(|byte| *byte == b',').map(|name| ascii::trim(name).to_ascii_lowercase());
                granted.remove.extend(names.filter(|name| !name.is_empty()));
                continue;
            }
            if among(&self.upstream) {
                // Further lines of a name are lines, the first takes the place of the caller's.
                let known = granted.request.iter().any(|known| known.name == name);
                granted.request.push(Mutation::new(name, value, if known { How::Add } else { How::Set }));
            }
            if among(&self.upstream_append) {
                granted.request.push(Mutation::new(name, value, How::Add));
            }
            if among(&self.client_on_success) {
                granted.response.push(Mutation::new(name, value, How::Add));
            }
        }
        granted
    }

    fn refused(&self, status: u16, head: &Head, body: &[u8]) -> Refused {
        let told = |name: &[u8]| match &self.client {
            None => true,
            Some(_) if matches!(name, b"www-authenticate" | b"location") => true,
            Some(texts) => texts.iter().any(|text| text.matches(name)),
        };
        // Nothing has no type (Envoy too leaves it out).
        let typed = |name: &[u8]| name != b"content-type" || !body.is_empty();
        let fields = head.fields().filter(|(name, _)| told(name) && typed(name));
        let fields = fields.map(|(name, value)| Mutation::new(name, value, How::Add)).collect();
        Refused { status: Some(status), fields, body: body.to_vec() }
    }
}

/// Return the head of a call.
fn call(service: &Service, authority: &str, metadata: &[(String, String)]) -> Head {
    let mut head = Head::default();
    head.version = Version::Http11;
    head.set_method(b"POST");
    head.set_authority(if authority.is_empty() { &service.terms.cluster } else { authority }.as_bytes());
    head.set_path(CHECK);
    let millis = (service.terms.timeout_s * 1000.0).ceil();
    let timeout = format!("{millis}m");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-timeout", timeout.as_str())]
    {
        head.push(name.as_bytes(), value.as_bytes());
    }
    for (name, value) in metadata {
        head.push(name.as_bytes(), value.as_bytes());
    }
    head
}

fn yes_or_no(flag: bool) -> &'static [u8] {
    if flag {
        b"true"
    } else {
        b"false"
    }
}

fn texts(wanted: &[TextMatch], field: &str, name: &str) -> Result<Vec<Text>, String> {
    wanted.iter().map(|one| Text::of(one).map_err(|what| format!("{field}.{name}: {what}"))).collect()
}

fn check_body(body: Option<CheckedBody>, field: &str) -> Result<(), String> {
    match body {
        Some(body) if body.max_bytes == 0 || body.max_bytes > MAX_AUTHZ_BODY => Err(format!(
            "{field}.body.max_bytes: {} is out of range; accepted are 1 to {MAX_AUTHZ_BODY}",
            body.max_bytes
        )),
        _ => Ok(()),
    }
}
