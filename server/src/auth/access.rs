//! What a client may do, and the scopes that each method needs.

use std::fmt;
use std::str::FromStr;

/// A permission of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Check prompts, generate images, and manage the client's own jobs.
    Generate,
    /// Every call, including those that concern other clients.
    Admin,
    /// Read metrics of the server and its device.
    Metrics,
}

impl Scope {
    /// All of them.
    pub const ALL: [Scope; 3] = [Scope::Generate, Scope::Admin, Scope::Metrics];

    /// The word in the token file.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Generate => "generate",
            Scope::Admin => "admin",
            Scope::Metrics => "metrics",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// `generate`, `admin` and `metrics`.
    pub const ALL: Self = Self(Scope::Generate.bit() | Scope::Admin.bit() | Scope::Metrics.bit());

    /// The set with `scope` alone.
    pub const fn one(scope: Scope) -> Self {
        Self(scope.bit())
    }

    /// Both sets together.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a client with these scopes may call a method that needs any of `needed`. `admin` includes every scope.
    pub fn allow(self, needed: Scopes) -> bool {
        self.0 & (needed.0 | Scope::Admin.bit()) != 0
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0).map(Scope::name)
    }
}

/// As the token file has it: `generate,metrics`.
impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}

/// The text is not a list of scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope; there are `generate`, `admin` and `metrics`, separated by commas")]
pub struct UnknownScope(String);

impl FromStr for Scopes {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split(',').try_fold(Self::default(), |scopes, word| {
            let scope = Scope::ALL.into_iter().find(|scope| scope.name() == word.trim());
            Ok(scopes.and(Self::one(scope.ok_or_else(|| UnknownScope(word.to_owned()))?)))
        })
    }
}

/// What a method needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing: load balancers check the health and have no token.
    Open,
    /// Any valid token or certificate.
    Known,
    /// One of these scopes.
    Scoped(Scopes),
}

const GENERATE: Access = Access::Scoped(Scopes::one(Scope::Generate));
const METRICS: Access = Access::Scoped(Scopes::one(Scope::Generate).and(Scopes::one(Scope::Metrics)));
const ADMIN: Access = Access::Scoped(Scopes::one(Scope::Admin));

/// The rule of each package, service or method; the first whose name begins the path applies.
const RULES: &[(&str, Access)] = &[
    ("/grpc.health.v1.Health/", Access::Open),
    ("/grpc.reflection.", Access::Known),
    ("/sakuga.asset.", GENERATE),
    ("/sakuga.prompt.", GENERATE),
    ("/sakuga.generation.", GENERATE),
    ("/sakuga.system.v1.SystemService/DrainDevice", ADMIN),
    ("/sakuga.system.v1.SystemService/DisableDevice", ADMIN),
    ("/sakuga.system.v1.SystemService/EnableDevice", ADMIN),
    ("/sakuga.system.", METRICS),
    ("/sakuga.model.v1.ModelService/ListModels", METRICS),
    ("/sakuga.model.v1.ModelService/ListAdapters", METRICS),
    ("/sakuga.model.", ADMIN),
    ("/v1/images/", GENERATE),
    ("/v1/models", METRICS),
    // The URL is signed, and names one picture for an hour.
    ("/v1/pictures/", Access::Open),
    ("/v1/openapi.json", Access::Open),
];

/// Whether a call needs no credential on any server: health, reflection, pictures by signed URL, and the description of
/// OpenAI's API. Such calls have limits of their own.
pub(crate) fn is_public(path: &str) -> bool {
    path.starts_with("/grpc.") || access(path) == Access::Open
}

/// The access rule of a path. A path without a rule needs `admin`: a new service is closed until a rule opens it.
pub(crate) fn access(path: &str) -> Access {
    rule(path).unwrap_or(ADMIN)
}

/// The rule that is stated for a path, if one is.
pub(crate) fn rule(path: &str) -> Option<Access> {
    RULES.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, access)| *access)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in ["generate", "admin", "generate,metrics", "generate,admin,metrics"] {
            assert_eq!(text.parse::<Scopes>().expect("scopes").to_string(), text);
        }
        assert_eq!("metrics, generate".parse::<Scopes>().expect("scopes").to_string(), "generate,metrics");
        for text in ["", "Generate", "root", "generate,"] {
            assert!(text.parse::<Scopes>().is_err(), "{text}");
        }
    }

    #[test]
    fn admin_includes_every_scope_and_no_other_includes_admin() {
        let [generate, admin, metrics] = Scope::ALL.map(Scopes::one);
        assert!(admin.allow(generate) && admin.allow(metrics) && admin.allow(admin));
        assert!(!generate.allow(admin) && !metrics.allow(admin) && !metrics.allow(generate));
        assert!(generate.allow(generate.and(metrics)) && !Scopes::default().allow(Scopes::ALL));
    }

    #[test]
    fn a_path_without_a_rule_needs_admin() {
        assert_eq!(access("/sakuga.prompt.v1.PromptService/ValidatePrompt"), GENERATE);
        assert_eq!(access("/grpc.health.v1.Health/Check"), Access::Open);
        for method in ["ListModels", "ListAdapters"] {
            assert_eq!(access(&format!("/sakuga.model.v1.ModelService/{method}")), METRICS, "{method}");
        }
        for method in ["LoadModel", "UnloadModel"] {
            assert_eq!(rule(&format!("/sakuga.model.v1.ModelService/{method}")), Some(ADMIN), "{method}");
        }
        for path in ["/v1/images/generations", "/v1/images/edits", "/v1/images/generations/a/events"] {
            assert_eq!(access(path), GENERATE, "{path}");
        }
        assert!(is_public("/v1/pictures/a/0.png") && !is_public("/v1/images/edits") && !is_public("/v1/models"));
        for path in [
            "/",
            "/v1/images",
            "/v1/files",
            "/grpc.health.v1.HealthX/Check",
            "/sakuga.admin.v1.A/B",
            "sakuga.prompt.v1.P/V",
            "/SAKUGA.prompt.",
        ] {
            assert_eq!(access(path), ADMIN, "{path}");
        }
    }
}
