//! Role mappings in git: `mapping export`, `mapping apply`, `import`.

use crate::world::{World, on_both_stores};

fn role(name: &str) -> String {
    format!("arn:aws:iam::123456789012:role/{name}")
}

fn churn(world: &World) {
    world.done(&["project", "add", "fraud"]);
    world.done(&["project", "add", "churn"]);
    world.done(&["mapping", "add", "fraud", "all", &role("f")]);
    world.done(&["mapping", "add", "churn", "data-owner", &role("b"), "--default"]);
    world.done(&["mapping", "add", "churn", "all", &role("a"), "--default"]);
}

fn apply(world: &World, text: &str, options: &[&str]) -> String {
    let file = world.directory.join("mappings.json");
    std::fs::write(&file, text).expect("a file");
    world.done(&[&["mapping", "apply", file.to_str().expect("UTF-8")], options].concat())
}

const EXPORT: &str = r#"[
{"project":"churn","project_role":"all","role":"arn:aws:iam::123456789012:role/a","default":true},
{"project":"churn","project_role":"data-owner","role":"arn:aws:iam::123456789012:role/b","default":true},
{"project":"fraud","project_role":"all","role":"arn:aws:iam::123456789012:role/f","default":false}
]"#;

on_both_stores! {
    fn an_export_does_not_depend_on_ids_and_applying_it_changes_nothing(world: &World) {
        assert_eq!(world.done(&["mapping", "export"]), "[]");
        churn(world);
        assert_eq!(world.done(&["mapping", "export"]), EXPORT);
        let before = world.sql("select count(*) from audit");
        assert_eq!(apply(world, EXPORT, &[]), "");
        assert_eq!(world.sql("select count(*) from audit"), before, "nothing happened");
    }

    fn applying_a_file_keeps_ids_and_records_each_project_once(world: &World) {
        churn(world);
        let wanted = EXPORT
            .replace("\"all\",\"role\":\"arn:aws:iam::123456789012:role/a\",\"default\":true", "\"all\",\"role\":\"arn:aws:iam::123456789012:role/new\",\"default\":true")
            .replace("\"data-owner\"", "\"data-scientist\"");
        let difference = "\
- {\"project\":\"churn\",\"project_role\":\"data-owner\",\"role\":\"arn:aws:iam::123456789012:role/b\",\"default\":true}
- {\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/a\",\"default\":true}
+ {\"project\":\"churn\",\"project_role\":\"data-scientist\",\"role\":\"arn:aws:iam::123456789012:role/b\",\"default\":true}
+ {\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/new\",\"default\":true}";
        assert_eq!(apply(world, &wanted, &["--dry-run"]), difference);
        assert_eq!(world.done(&["mapping", "export"]), EXPORT);
        assert_eq!(world.sql("select count(*) from audit where action = 'mapping change'"), [["0"]]);
        assert_eq!(apply(world, &wanted, &[]), difference);
        assert_eq!(apply(world, &wanted, &[]), "");
        assert_eq!(
            world.done(&["mapping", "list"]),
            format!(
                "1\t1\tfraud\tall\t{}\tfalse\n2\t2\tchurn\tdata-scientist\t{}\ttrue\n4\t2\tchurn\tall\t{}\ttrue",
                role("f"), role("b"), role("new")
            )
        );
        let recorded = world.sql("select project_name, state_before, state_after from audit where action = 'mapping change'");
        assert_eq!(recorded.len(), 1);
        assert!(recorded[0][1].contains(&role("a")) && recorded[0][2].contains(&role("new")), "{recorded:?}");
        assert_eq!(apply(world, "[]", &[]).lines().count(), 3);
        assert_eq!(world.done(&["mapping", "list"]), "");
    }

    fn the_default_moves_from_one_mapping_of_a_project_to_another(world: &World) {
        churn(world);
        world.done(&["mapping", "add", "churn", "all", &role("c")]);
        let wanted = world.done(&["mapping", "export"])
            .replace("role/a\",\"default\":true", "role/a\",\"default\":false")
            .replace("role/c\",\"default\":false", "role/c\",\"default\":true");
        assert_eq!(apply(world, &wanted, &[]).lines().count(), 4);
        assert_eq!(world.done(&["mapping", "export"]), wanted);
    }

    fn two_defaults_of_a_project_swap_their_roles(world: &World) {
        churn(world);
        let wanted = EXPORT.replace("role/a", "role/x").replace("role/b", "role/a").replace("role/x", "role/b");
        assert_eq!(apply(world, &wanted, &[]).lines().count(), 4);
        assert_eq!(world.done(&["mapping", "export"]), wanted);
    }

    fn a_file_may_name_a_project_by_its_id(world: &World) {
        churn(world);
        assert_eq!(apply(world, &EXPORT.replace("\"churn\"", "\"2\""), &[]), "");
        assert_eq!(world.done(&["mapping", "export"]), EXPORT);
    }

    fn a_file_that_cannot_be_applied_changes_nothing(world: &World) {
        churn(world);
        let file = world.directory.join("mappings.json");
        let apply = ["mapping", "apply", file.to_str().expect("UTF-8")];
        assert!(world.failed(&apply).starts_with(&format!("reading {} failed: No such file", file.display())));
        for (text, problem) in [
            (EXPORT.replace("\"fraud\"", "\"nowhere\""), "there is no project \"nowhere\"; add it with: role-mapping-server project add NAME"),
            (EXPORT.replace("role/b", "role/a"), "arn:aws:iam::123456789012:role/a is mapped to project churn twice"),
            (EXPORT.replace("role/b", "role/a").replacen("churn", "2", 1), "arn:aws:iam::123456789012:role/a is mapped to project churn twice"),
            (EXPORT.replace("data-owner", "all"), "project churn has two defaults for all"),
            (EXPORT.replace("data-owner", "all").replacen("churn", "2", 1), "project churn has two defaults for all"),
        ] {
            // The change of another project, which comes first, is not made either.
            let text = text.replace("role/f", "role/other");
            std::fs::write(&file, text).expect("a file");
            assert_eq!(world.failed(&apply), problem);
        }
    }

    fn an_import_finds_projects_by_name_and_keeps_what_is_here(world: &World) {
        let there = World::sqlite();
        let key = there.done(&["user", "add", "admin@example.org", "--admin"]);
        let stranger = there.done(&["user", "add", "ada@example.org"]);
        churn(&there);
        let server = there.serve();
        world.done(&["project", "add", "churn"]);
        world.done(&["mapping", "add", "churn", "all", &role("mine"), "--default"]);
        let import = |key: &str, options: &[&str]| {
            let ran = world.run_with(&[&["import", "--from", &server.url], options].concat(), &[("API_KEY", key)]);
            (ran.code, ran.stdout, ran.stderr)
        };
        let (_, preview, _) = import(&key, &["--dry-run"]);
        assert_eq!(preview.lines().count(), 5, "{preview}");
        assert_eq!(world.done(&["mapping", "list"]).lines().count(), 1);
        let (code, done, said) = import(&key, &[]);
        assert_eq!((code, done.lines().count(), said.as_str()), (Some(0), 5, ""), "{done}");
        let expected = EXPORT.replace("]", ",\n{\"project\":\"churn\",\"project_role\":\"all\",\"role\":\"arn:aws:iam::123456789012:role/mine\",\"default\":false}\n]").replace("}\n,", "},");
        let sorted = |text: &str| { let mut lines: Vec<String> = text.lines().map(|line| line.trim_end_matches(',').to_owned()).collect(); lines.sort(); lines };
        assert_eq!(sorted(&world.done(&["mapping", "export"])), sorted(&expected));
        assert_eq!(import(&key, &[]), (Some(0), String::new(), String::new()));
        let refused = (Some(1), String::new(), "the key in API_KEY is not an administrator's, or lacks the scope ADMIN\n".to_owned());
        assert_eq!(import(&stranger, &[]), refused);
        assert_eq!(import("no.body", &[]).2, "that server does not know the key in API_KEY\n");
        assert_eq!(import("", &[]).2, "the variable API_KEY is not set; set it to the API key of an administrator of that server\n");
    }
}
