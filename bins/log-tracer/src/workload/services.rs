//! The services of the shop and what each says about itself.

use log_tracer_proto::otlp::{common::KeyValue, resource::Resource};

use super::recorder::attribute;

/// One service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// Renders pages and takes orders; where most traces start.
    Frontend,
    /// What is sold.
    Catalog,
    /// Full-text search over it.
    Search,
    /// What else one might like.
    Recommendation,
    /// What is in a customer's cart.
    Cart,
    /// Turns a cart into an order.
    Checkout,
    /// Talks to the card company.
    Payment,
    /// Says whether an order looks like fraud.
    Fraud,
    /// What is in stock.
    Inventory,
    /// What sending costs.
    Shipping,
    /// Converts prices.
    Currency,
    /// Sends the confirmation, from a queue.
    Email,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Frontend,
        Self::Catalog,
        Self::Search,
        Self::Recommendation,
        Self::Cart,
        Self::Checkout,
        Self::Payment,
        Self::Fraud,
        Self::Inventory,
        Self::Shipping,
        Self::Currency,
        Self::Email,
    ];

    /// `service.name`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().0
    }

    /// The resource that its telemetry carries.
    #[must_use]
    pub fn resource(self) -> Resource {
        let (name, language, version) = self.facts();
        let attributes: Vec<KeyValue> = vec![
            attribute("service.name", name),
            attribute("service.namespace", "shop"),
            attribute("service.version", version),
            attribute("service.instance.id", format!("{name}-0")),
            attribute("deployment.environment.name", "demo"),
            attribute("host.name", format!("shop-node-{}", self as u8 % 3 + 1)),
            attribute("telemetry.sdk.name", "opentelemetry"),
            attribute("telemetry.sdk.language", language),
        ];
        Resource {
            attributes,
            ..Resource::default()
        }
    }

    /// Where the others reach it.
    pub(super) fn address(self) -> String {
        format!("10.20.2.{}", self as u8 + 10)
    }

    /// The file that most of its code is in.
    pub(super) const fn source_file(self) -> &'static str {
        match self {
            Self::Frontend => "/usr/src/app/dist/server/handlers.js",
            Self::Catalog => "/build/internal/catalog/server.go",
            Self::Search => "com/example/shop/search/SearchService.java",
            Self::Recommendation => "/srv/recommendation/rank.py",
            Self::Cart => "/src/Shop.Cart/Services/CartService.cs",
            Self::Checkout => "com/example/shop/checkout/CheckoutService.java",
            Self::Payment => "crates/payment/src/gateway.rs",
            Self::Fraud => "/srv/fraud/score.py",
            Self::Inventory => "/build/internal/inventory/stock.go",
            Self::Shipping => "/app/lib/shipping/quote.rb",
            Self::Currency => "/src/currency/server.cpp",
            Self::Email => "/var/www/src/Mailer.php",
        }
    }

    /// The thread that does some of its work, as the SDKs of Java, .NET, Rust and Python name it.
    pub(super) fn thread(self, number: i64) -> Option<String> {
        let pool = match self.facts().1 {
            "java" => "grpc-default-executor",
            "dotnet" => ".NET TP Worker",
            "rust" => "tokio-rt-worker",
            "python" => "ThreadPoolExecutor-0",
            _ => return None,
        };
        Some(format!("{pool}-{number}"))
    }

    /// Name, language and version.
    const fn facts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Frontend => ("frontend", "nodejs", "3.12.0"),
            Self::Catalog => ("catalog", "go", "2.7.1"),
            Self::Search => ("search", "java", "1.9.4"),
            Self::Recommendation => ("recommendation", "python", "0.8.3"),
            Self::Cart => ("cart", "dotnet", "2.1.0"),
            Self::Checkout => ("checkout", "java", "4.0.2"),
            Self::Payment => ("payment", "rust", "1.3.5"),
            Self::Fraud => ("fraud-detection", "python", "0.4.0"),
            Self::Inventory => ("inventory", "go", "2.2.8"),
            Self::Shipping => ("shipping", "ruby", "1.0.9"),
            Self::Currency => ("currency", "cpp", "1.1.1"),
            Self::Email => ("email", "php", "0.9.7"),
        }
    }
}
