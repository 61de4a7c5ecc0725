"""What went wrong, by the code of a failure: what it is, and what to do. The reason itself is the engine's text."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FAILURES"]

_RELOAD = ("Look at the page again, and then decide anew.", "最新の画面を確認し、判断し直してください。")
_LIST = ("Look for it in the list; it may have another name.", "一覧から探してください。名前が異なる可能性があります。")
_CONNECTOR = (
    "Look at the product itself and at the page Connectors, then try again.",
    "製品側の状態と「コネクター」ページを確認し、再試行してください。",
)
_AGAIN = ("Wait a moment and try again.", "しばらく待ってから再試行してください。")

FAILURES: Mapping[str, tuple[str, str]] = {
    "failure.title": ("This can't be shown", "表示できません"),
    "failure.home": ("To what is waiting", "対応待ちへ"),
    "failure.other.what": ("It was not done", "実行されませんでした"),
    "failure.other.do": _RELOAD,
    "failure.not_allowed.what": ("Your role does not permit this", "この操作の権限がありません"),
    "failure.not_allowed.do": (
        "Ask somebody who has one of the roles named above, or an administrator for the role.",
        "上記の役割を持つ担当者に依頼するか、管理者に権限を申請してください。",
    ),
    "failure.session_over.what": ("Your session is over", "セッションが終了しました"),
    "failure.session_over.do": (
        "Nothing was done. It was revoked, or its time is over: sign in again.",
        "操作は実行されていません。セッションが失効または期限切れです。もう一度サインインしてください。",
    ),
    "nowhere.what": ("There is no such page", "ページがありません"),
    "nowhere.do": ("The address may be mistyped.", "アドレスが誤っている可能性があります。"),
    "failure.unknown_run.what": ("There is no such run", "この実行はありません"),
    "failure.unknown_run.do": _LIST,
    "failure.unknown_playbook.what": ("There is no such playbook", "このプレイブックはありません"),
    "failure.unknown_playbook.do": _LIST,
    "failure.unknown_hold.what": ("There is no such hold", "この封じ込めはありません"),
    "failure.unknown_hold.do": _LIST,
    "failure.unknown_offer.what": ("This plan is not offered any more", "この提案はすでにありません"),
    "failure.unknown_offer.do": _RELOAD,
    "failure.refused.what": ("It was refused", "受け付けられませんでした"),
    "failure.refused.do": _RELOAD,
    "failure.plan_refused.what": ("The plan is not applied", "計画は適用されませんでした"),
    "failure.plan_refused.do": (
        "Nothing was changed. Make a new plan, look at it, and apply that one.",
        "何も変更されていません。計画を作り直し、内容を確認してから適用してください。",
    ),
    "failure.inputs.what": ("The inputs do not fit", "入力内容が正しくありません"),
    "failure.inputs.do": ("Nothing was started. Correct them.", "何も開始されていません。修正してください。"),
    "failure.usage.what": ("This can't be understood", "内容を解釈できません"),
    "failure.usage.do": _RELOAD,
    "failure.playbook.what": ("The playbook can't be run as it is", "このプレイブックは実行できません"),
    "failure.playbook.do": (
        "Nothing was started. Whoever writes it has to mend what is listed.",
        "何も開始されていません。上記の問題を作成者が修正する必要があります。",
    ),
    "failure.project.what": ("The project's settings are in the way", "プロジェクトの設定に問題があります"),
    "failure.project.do": (
        "Nothing was started. An engineer has to mend hikeshi.yaml as is said above.",
        "何も開始されていません。エンジニアがhikeshi.yamlを修正する必要があります。",
    ),
    "failure.secret.what": ("A secret can't be read", "シークレットを読み取れません"),
    "failure.secret.do": (
        "Nothing was started. An engineer has to look at where it is kept.",
        "何も開始されていません。エンジニアが保管先を確認する必要があります。",
    ),
    "failure.key_held.what": ("The same is under way already", "同じ処理がすでに実行中です"),
    "failure.key_held.do": (
        "Look at that run; this one was not started.",
        "その実行を確認してください。新たには開始されていません。",
    ),
    "failure.nothing_to_release.what": ("It is released already", "すでに解除されています"),
    "failure.nothing_to_release.do": _RELOAD,
    "failure.nothing_to_resolve.what": ("Its outcome is known already", "結果はすでに判明しています"),
    "failure.nothing_to_resolve.do": _RELOAD,
    "failure.nothing_to_retry.what": ("There is nothing to try again", "再試行する対象がありません"),
    "failure.nothing_to_retry.do": _RELOAD,
    "failure.run_is_driven.what": ("Another process has the run", "別のプロセスが実行しています"),
    "failure.run_is_driven.do": _AGAIN,
    "failure.not_taken.what": ("Stored, and not taken yet", "保存済み、未処理です"),
    "failure.not_taken.do": (
        "Do not send it again: it counts from now. Watch the run; if nothing happens, tell an engineer.",
        "再送しないでください。すでに有効です。実行を見守り、進まない場合はエンジニアに連絡してください。",
    ),
    "failure.journal.what": ("The journal can't be used", "ジャーナルを使用できません"),
    "failure.journal.do": (
        "Nothing more is started until it can. Tell an engineer now: disk full or disk failing?",
        "復旧するまで新たな処理は開始されません。至急エンジニアに連絡してください(ディスク容量・障害を確認)。",
    ),
    "failure.run_halted.what": ("The run halted", "実行が停止しました"),
    "failure.run_halted.do": (
        "What was stored stays, and goes on when the journal can be written again. Tell an engineer.",
        "保存済みの内容は維持され、ジャーナルの復旧後に再開します。エンジニアに連絡してください。",
    ),
    "failure.internal.what": ("A defect of this program", "プログラムの不具合です"),
    "failure.internal.do": (
        "Look whether it was done before you try again. The service's log says more to an engineer.",
        "再試行の前に、実行済みでないか確認してください。詳細はサービスのログにあります。",
    ),
    "failure.unauthorized.what": ("The product refused our credentials", "製品が認証情報を拒否しました"),
    "failure.unauthorized.do": _CONNECTOR,
    "failure.forbidden.what": ("The product does not permit this", "製品側で許可されていません"),
    "failure.forbidden.do": _CONNECTOR,
    "failure.unavailable.what": ("The product could not be reached", "製品に接続できません"),
    "failure.unavailable.do": _CONNECTOR,
    "failure.timeout.what": ("The product did not answer in time", "製品が時間内に応答しませんでした"),
    "failure.timeout.do": _CONNECTOR,
    "failure.rate_limited.what": ("The product asks us to wait", "製品から待機を求められました"),
    "failure.rate_limited.do": _AGAIN,
}
